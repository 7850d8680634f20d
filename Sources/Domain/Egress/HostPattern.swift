/// Hosts that a rule or a secret names: `api.example.org`, `*.example.org` (every name below it, not itself), `10.0.0.5`,
/// `[2001:db8::5]`, `10.0.0.0/8`, each with or without `:port`; IPv6 with a port stands in brackets. Without a port: all ports.
public struct HostPattern: Sendable, Hashable, CustomStringConvertible {
    private enum Form: Sendable, Hashable {
        case name(String)
        /// `.example.org`
        case below(String)
        case block(AddressBlock, isIPv4: Bool)
    }

    private let form: Form
    private let port: Int?
    /// As it was written.
    public let description: String

    public init(_ text: String) throws(HostPatternError) {
        guard text.utf8.count <= OutboundHost.maxNameBytes + 16 else { throw HostPatternError("is longer than a host can be") }
        let (host, port) = try Self.split(text)
        self.port = port
        description = text
        if let block = AddressBlock(host) {
            // An IPv6 block never means IPv4 addresses, although those are held IPv4-mapped.
            form = .block(block, isIPv4: !host.contains(":") || IPAddress(host.prefix { $0 != "/" })?.isIPv4 == true)
            return
        }
        let isBelow = host.hasPrefix("*.")
        do throws(OutboundURLError) {
            guard case .name(let name) = try OutboundHost(isBelow ? String(host.dropFirst(2)) : host) else {
                throw OutboundURLError("has an address where a name is expected")
            }
            form = isBelow ? .below("." + name) : .name(name)
        } catch {
            throw HostPatternError(
                "must be a name (api.example.org), a name with *. before it, an address or a CIDR block, with or without :port")
        }
    }

    /// An address or a block, not a name.
    public var isAddress: Bool {
        if case .block = form { return true }
        return false
    }

    /// Whether it lists this host by name. An address in a URL is listed by an address only.
    public func names(_ host: OutboundHost, port: Int) -> Bool {
        guard case .name(let name) = host, self.port == nil || self.port == port else { return false }
        switch form {
        case .name(let listed): return name == listed
        case .below(let suffix): return name.hasSuffix(suffix)
        case .block: return false
        }
    }

    /// Whether it lists this address, literally or as part of a block.
    public func lists(_ address: IPAddress, port: Int) -> Bool {
        guard case .block(let block, let isIPv4) = form, self.port == nil || self.port == port else { return false }
        return isIPv4 == address.isIPv4 && block.contains(address)
    }

    /// Whether it stands for the host of a URL, by name or by address: what a secret asks before it goes there.
    public func covers(_ host: OutboundHost, port: Int) -> Bool {
        switch host {
        case .name: names(host, port: port)
        case .address(let address): lists(address, port: port)
        }
    }

    private static func split(_ text: String) throws(HostPatternError) -> (host: String, port: Int?) {
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            let inner = String(text[text.index(after: text.startIndex)..<end])
            let rest = text[text.index(after: end)...]
            guard inner.contains(":") else { throw HostPatternError("has brackets around something that is no IPv6 address") }
            if rest.isEmpty { return (inner, nil) }
            guard rest.first == ":", let port = OutboundURL.port(rest.dropFirst()) else {
                throw HostPatternError("has a port that is not a number from 1 to 65535")
            }
            return (inner, port)
        }
        let colons = text.utf8.count { $0 == UInt8(ascii: ":") }
        guard colons == 1, let colon = text.firstIndex(of: ":") else { return (text, nil) }
        guard let port = OutboundURL.port(text[text.index(after: colon)...]) else {
            throw HostPatternError("has a port that is not a number from 1 to 65535")
        }
        return (String(text[..<colon]), port)
    }
}

/// Why a text is no host pattern; reads after the name of the field.
public struct HostPatternError: Error, Sendable, Hashable, CustomStringConvertible {
    public let message: String

    init(_ message: String) { self.message = message }

    public var description: String { message }
}
