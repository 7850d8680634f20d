/// One message of a device, as its socket gives it on.
public enum DeviceInput: Sendable, Equatable {
    case text([UInt8])
    /// More than a message may have: it was thrown away, but for what it was about.
    case oversized(DeviceMessageOutline)
}

/// What a message that is too large to be kept was about: found as its bytes pass by, without keeping them. A result that cannot be taken
/// ends its call this way; otherwise the device would send it again at each connection, until the call's deadline.
///
/// It believes what it reads, since it sees no end: a call is given its outcome only by the device that was asked, however it names the call.
public struct DeviceMessageOutline: Sendable, Equatable {
    /// Of the whole message as far as it came.
    public private(set) var byteCount = 0
    private var depth = 0
    private var isInString = false
    private var isEscaped = false
    /// Of the string that is being read where it may matter: a name or a text of the outermost object.
    private var text: [UInt8] = []
    private var isTextKept = false
    private var name: [UInt8] = []
    private var isValue = false
    private var found: (type: [UInt8]?, callID: [UInt8]?) = (nil, nil)
    private var isAmbiguous = false

    private static let longestText = 64

    public init() {}

    /// Of a message that is there as a whole.
    init(whole message: [UInt8]) {
        byteCount = message.count
        for byte in message { read(byte) }
    }

    public static func == (one: Self, other: Self) -> Bool { one.byteCount == other.byteCount && one.callID == other.callID }

    /// The call that the message answers; nil where it is no result, or does not name its call in one of the outermost members.
    public var callID: String? {
        if let type = found.type, type != Array("tool.result".utf8) { return nil }
        return found.callID.map { String(decoding: $0, as: UTF8.self) }
    }

    /// The same of a message that says what it is, and names one call: text that broke out of its string cannot name another.
    var certainCallID: String? { found.type == nil || isAmbiguous ? nil : callID }

    public mutating func read(_ bytes: some Collection<UInt8>) {
        byteCount += bytes.count
        if found.type != nil, found.callID != nil { return }
        for byte in bytes { read(byte) }
    }

    private mutating func read(_ byte: UInt8) {
        guard isInString else { return readStructure(byte) }
        if isEscaped {
            isEscaped = false
            // No name and no value of interest has an escape.
            isTextKept = false
        } else if byte == UInt8(ascii: "\\") {
            isEscaped = true
        } else if byte == UInt8(ascii: "\"") {
            isInString = false
            endString()
        } else if isTextKept {
            text.append(byte)
            isTextKept = text.count <= Self.longestText
        }
    }

    private mutating func readStructure(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""):
            isInString = true
            isTextKept = depth == 1
            text.removeAll(keepingCapacity: true)
        case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
        case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
        case UInt8(ascii: ":") where depth == 1: isValue = true
        case UInt8(ascii: ",") where depth == 1: isValue = false
        default: break
        }
    }

    private mutating func endString() {
        guard depth == 1 else { return }
        guard isValue else { return name = isTextKept ? text : [] }
        guard isTextKept else { return }
        if name == Array("type".utf8) {
            isAmbiguous = isAmbiguous || found.type.map { $0 != text } ?? false
            found.type = found.type ?? text
        }
        if name == Array("callId".utf8) {
            isAmbiguous = isAmbiguous || found.callID.map { $0 != text } ?? false
            found.callID = found.callID ?? text
        }
    }
}
