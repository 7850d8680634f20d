/// Why a device's connection is over for good, or, for the last three, why one attempt was.
public enum DeviceConnectionError: Error, Sendable, CustomStringConvertible {
    case invalidURL(String)
    /// Close code 4403.
    case revoked
    /// Close code 4409: the same device has connected from elsewhere.
    case takenOver
    /// The gateway said that trying again is pointless.
    case refused(code: String, message: String)
    /// The challenge names another gateway than the one where the device enrolled; signing it could serve a relay.
    case wrongAudience(expected: String, got: String)
    case unreachable(String)
    case closed(code: Int?, reason: String)
    case protocolViolation(String)

    public var isFinal: Bool {
        switch self {
        case .invalidURL, .revoked, .takenOver, .refused, .wrongAudience: true
        case .unreachable, .closed, .protocolViolation: false
        }
    }

    public var description: String {
        switch self {
        case .invalidURL(let url): "“\(url)” is not an http, https, ws or wss URL."
        case .revoked: "This device was revoked. Enrol it again with a new token."
        case .takenOver: "Another process has connected as this device and took over. Only one can be connected."
        case .refused(let code, let message): "The gateway refuses this device: \(message) (\(code))"
        case .wrongAudience(let expected, let got):
            "The gateway calls itself \(got), but this device enrolled with \(expected). Not signing. Connect to the right one or enrol again."
        case .unreachable(let detail): "The gateway cannot be reached: \(detail)"
        case .closed(let code, let reason):
            "The gateway closed the connection\(code.map { " (\($0))" } ?? "")\(reason.isEmpty ? "" : ": \(reason)")."
        case .protocolViolation(let detail): "The gateway broke the protocol: \(detail)"
        }
    }
}
