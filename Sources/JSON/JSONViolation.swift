/// A value that is not what its reader expects.
public struct JSONViolation: Error, Sendable, Equatable, CustomStringConvertible {
    /// Where, per RFC 6901; empty for the whole document.
    public let pointer: String
    /// What it should be, so that its writer can mend it: "must be an integer from 1 to 50".
    public let message: String

    public init(pointer: String, message: String) {
        self.pointer = pointer
        self.message = message
    }

    public var description: String { pointer.isEmpty ? message : "\(pointer): \(message)" }
}
