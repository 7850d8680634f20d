/// Strict reading of one object: each member must be asked for, and `finish()` refuses the ones that were not.
public struct JSONObjectReader: Sendable {
    public let pointer: String
    let node: JSONNode
    /// Keys that were asked for, present or not, in that order.
    private var known: [String] = []

    public init(_ node: JSONNode, at pointer: String = "") throws(JSONViolation) {
        guard node.kind == .object else { throw JSONViolation(pointer: pointer, message: "must be an object") }
        self.node = node
        self.pointer = pointer
    }

    /// RFC 6901: `~` is written `~0`, `/` is written `~1`.
    public func pointer(to key: String) -> String { "\(pointer)/\(JSONPointerText.escaped(key))" }

    public func has(_ key: String) -> Bool { node[key] != nil }

    public mutating func node(_ key: String) throws(JSONViolation) -> JSONNode {
        known.append(key)
        guard let value = node[key] else { throw violation(key, "is required") }
        return value
    }

    /// Nil when it is absent or null, as for all optional reads.
    public mutating func optionalNode(_ key: String) throws(JSONViolation) -> JSONNode? {
        known.append(key)
        guard let value = node[key], !value.isNull else { return nil }
        return value
    }

    /// Refuses members that nobody asked for.
    public mutating func finish() throws(JSONViolation) {
        for (key, _) in node.members where !known.contains(key) {
            // The name is the sender's: it is cut before it is repeated to anyone.
            let name = key.utf8.count <= 128 ? key : String(key.unicodeScalars.prefix(64)) + "…"
            let fields = known.isEmpty ? "there are no known fields" : "known fields: " + known.joined(separator: ", ")
            throw violation(name, "unknown field; \(fields)")
        }
    }

    func violation(_ key: String, _ message: String) -> JSONViolation {
        JSONViolation(pointer: pointer(to: key), message: message)
    }
}
