#if canImport(Glibc)
    import Glibc
#endif

/// An IPv4 or IPv6 address as 16 bytes; IPv4 is held IPv4-mapped (RFC 4291 §2.5.5.2), so that both spellings of one address are equal.
public struct IPAddress: Sendable, Hashable, CustomStringConvertible {
    /// Most significant first.
    let high: UInt64
    let low: UInt64

    private static let mappedPrefix: UInt64 = 0xFFFF << 32

    /// The numeric forms alone; a zone (`%eth0`) is refused, for it means nothing elsewhere.
    public init?(_ text: some StringProtocol) {
        guard text.utf8.count <= 45 else { return nil }
        let text = String(text)
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 {
            self.init(high: 0, low: Self.mappedPrefix | UInt64(UInt32(bigEndian: four.s_addr)))
            return
        }
        var six = in6_addr()
        guard inet_pton(AF_INET6, text, &six) == 1 else { return nil }
        let words = withUnsafeBytes(of: &six) { bytes in
            (
                UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
                UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            )
        }
        self.init(high: words.0, low: words.1)
    }

    private init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    public var isIPv4: Bool { high == 0 && low >> 32 == 0xFFFF }

    /// What one customer of a network usually holds: an IPv4 address, or the /64 of an IPv6 one (RFC 6177).
    public var subscriber: IPAddress { isIPv4 ? self : IPAddress(high: high, low: 0) }

    public var description: String {
        if isIPv4 { return dottedQuad }
        var six = in6_addr()
        withUnsafeMutableBytes(of: &six) { bytes in
            bytes.storeBytes(of: high.bigEndian, toByteOffset: 0, as: UInt64.self)
            bytes.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
        }
        return String(unsafeUninitializedCapacity: 46) { text in
            text.withMemoryRebound(to: CChar.self) { buffer in
                guard inet_ntop(AF_INET6, &six, buffer.baseAddress, 46) != nil else { return 0 }
                return buffer.firstIndex(of: 0) ?? 0
            }
        }
    }
}

extension IPAddress {
    /// Of an IPv4 address. Byte by byte: it is in every line of the log.
    private var dottedQuad: String {
        String(unsafeUninitializedCapacity: 15) { text in
            var end = 0
            for shift: UInt64 in [24, 16, 8, 0] {
                let part = UInt8(truncatingIfNeeded: low >> shift)
                if part >= 100 { text[end] = 48 + part / 100; end += 1 }
                if part >= 10 { text[end] = 48 + part / 10 % 10; end += 1 }
                text[end] = 48 + part % 10
                end += 1
                if shift > 0 { text[end] = UInt8(ascii: "."); end += 1 }
            }
            return end
        }
    }
}

/// `10.0.0.0/8`, `2001:db8::/32`, or one address.
public struct AddressBlock: Sendable, Hashable, CustomStringConvertible {
    private let address: IPAddress
    /// Of 128, also for IPv4.
    private let prefixBits: Int
    public let description: String

    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = IPAddress(parts[0]) else { return nil }
        let isDotted = parts[0].contains(".") && !parts[0].contains(":")
        let most = isDotted ? 32 : 128
        var bits = most
        if parts.count == 2 {
            let digits = parts[1]
            guard (1...3).contains(digits.utf8.count), digits.utf8.allSatisfy({ (48...57).contains($0) }), let given = Int(digits),
                (0...most).contains(given)
            else { return nil }
            bits = given
        }
        self.address = address
        prefixBits = isDotted ? bits + 96 : bits
        description = String(text)
    }

    public func contains(_ other: IPAddress) -> Bool {
        func mask(_ bits: Int) -> UInt64 { bits <= 0 ? 0 : bits >= 64 ? .max : ~(UInt64.max >> UInt64(bits)) }
        let (highMask, lowMask) = (mask(prefixBits), mask(prefixBits - 64))
        return address.high & highMask == other.high & highMask && address.low & lowMask == other.low & lowMask
    }
}

/// Which client a request came from, where proxies that are trusted stand before the gateway.
public struct TrustedProxies: Sendable {
    private let blocks: [AddressBlock]

    /// None: the connection's own address is the client's, and nobody's header counts.
    public init(_ blocks: [AddressBlock] = []) { self.blocks = blocks }

    public var isEmpty: Bool { blocks.isEmpty }

    public func trusts(_ address: IPAddress) -> Bool { blocks.contains { $0.contains(address) } }

    /// The right-most address that no trusted proxy has: what stands to the left of it was written by the client. An entry that is
    /// no address ends the search at the proxy that passed it on.
    ///
    /// - Parameter forwardedFor: the values of `X-Forwarded-For`, in the order of the fields.
    public func client(peer: IPAddress, forwardedFor: [String]) -> IPAddress {
        guard trusts(peer) else { return peer }
        var client = peer
        for value in forwardedFor.reversed() {
            for entry in value.split(separator: ",", omittingEmptySubsequences: false).reversed() {
                guard let address = Self.address(entry) else { return client }
                client = address
                if !trusts(address) { return client }
            }
        }
        return client
    }

    /// Some proxies add a port: `192.0.2.1:80`, `[2001:db8::1]:80`.
    private static func address(_ entry: Substring) -> IPAddress? {
        var text = entry.drop { $0 == " " || $0 == "\t" }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        if text.first == "[", let end = text.firstIndex(of: "]") { return IPAddress(text[text.index(after: text.startIndex)..<end]) }
        if let address = IPAddress(text) { return address }
        guard let colon = text.firstIndex(of: ":"), text[text.index(after: colon)...].allSatisfy(\.isNumber) else { return nil }
        return IPAddress(text[..<colon])
    }
}
