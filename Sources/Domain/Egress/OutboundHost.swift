/// A host that a request may be sent to, in its one normal form: a lower-case DNS name without a trailing dot, or an address.
///
/// The forms in which resolvers and URL parsers disagree are refused, not guessed: `2130706433`, `0x7f.1`, `0177.0.0.1`, `127.1`,
/// percent-encoding, zones, and names that are not ASCII (their punycode form is accepted).
public enum OutboundHost: Sendable, Hashable, CustomStringConvertible {
    case name(String)
    case address(IPAddress)

    /// - Parameter text: as in a URL's authority; IPv6 in brackets.
    public init(_ text: String) throws(OutboundURLError) {
        guard !text.isEmpty else { throw OutboundURLError("has no host") }
        guard text.utf8.count <= Self.maxNameBytes + 1 else { throw OutboundURLError("has a host longer than \(Self.maxNameBytes) bytes") }
        if text.utf8.first == UInt8(ascii: "[") {
            guard text.utf8.last == UInt8(ascii: "]"), let address = IPAddress(text.dropFirst().dropLast()), text.contains(":") else {
                throw OutboundURLError("has brackets around something that is no IPv6 address")
            }
            self = .address(address)
            return
        }
        guard text.utf8.allSatisfy({ $0 < 0x80 }) else {
            throw OutboundURLError("has a host that is not ASCII; write its punycode form (xn--…)")
        }
        guard text.utf8.allSatisfy(Self.isNameByte) else {
            throw OutboundURLError("has a host with characters other than letters, digits, -, _ and .")
        }
        var name = text.lowercased()
        if name.hasSuffix(".") { name.removeLast() }
        let labels = name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard name.utf8.count <= Self.maxNameBytes,
            labels.allSatisfy({ (1...63).contains($0.count) && $0.first != UInt8(ascii: "-") && $0.last != UInt8(ascii: "-") })
        else { throw OutboundURLError("has a host that is no DNS name") }
        // "Ends in a number" (WHATWG URL §3.5): some parser would read an IPv4 address in it.
        guard let last = labels.last, Self.readsAsNumber(last) else {
            self = .name(name)
            return
        }
        guard labels.count == 4, labels.allSatisfy(Self.isPlainDecimal), let address = IPAddress(name) else {
            throw OutboundURLError("has an IPv4 address in another form than four decimal numbers without leading zeros")
        }
        self = .address(address)
    }

    public static let maxNameBytes = 253

    /// As it stands in a URL and in `Host`.
    public var description: String {
        switch self {
        case .name(let name): name
        case .address(let address): address.isIPv4 ? address.description : "[\(address)]"
        }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
            true
        default: false
        }
    }

    private static func readsAsNumber(_ label: Substring.UTF8View) -> Bool {
        if label.allSatisfy({ (48...57).contains($0) }) { return true }
        guard label.count >= 2, label.first == UInt8(ascii: "0"), label.dropFirst().first == UInt8(ascii: "x") else { return false }
        return label.dropFirst(2).allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
    }

    private static func isPlainDecimal(_ label: Substring.UTF8View) -> Bool {
        (1...3).contains(label.count) && label.allSatisfy { (48...57).contains($0) }
            && (label.count == 1 || label.first != UInt8(ascii: "0"))
    }
}

/// Why a text is no URL that the gateway sends requests to; reads after the name of the field.
public struct OutboundURLError: Error, Sendable, Hashable, CustomStringConvertible {
    public let message: String

    init(_ message: String) { self.message = message }

    public var description: String { message }
}
