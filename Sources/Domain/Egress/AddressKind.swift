/// What an address is good for: only `public` ones are open to everybody (IANA special-purpose registries, RFC 6890).
public enum AddressKind: String, Sendable, Hashable, CaseIterable {
    case `public`
    case unspecified
    case loopback
    /// RFC 1918, and unique local IPv6 (RFC 4193), where some clouds keep their metadata too.
    case `private`
    case linkLocal = "link-local"
    /// Where a cloud tells a machine its credentials, at an address that no block above covers.
    case metadata
    /// RFC 6598, between customers and carriers.
    case sharedAddressSpace = "shared address space"
    case multicast
    /// Carries another address inside: IPv4-compatible, NAT64, 6to4, Teredo, ISATAP.
    case embedding
    /// Documentation, benchmarking, protocol assignments, and what nobody has assigned.
    case reserved
}

extension IPAddress {
    public var kind: AddressKind { isIPv4 ? Self.kindOfIPv4(UInt32(truncatingIfNeeded: low)) : kindOfIPv6 }

    private static func kindOfIPv4(_ address: UInt32) -> AddressKind {
        /// Azure's wire server: the one metadata address in public space.
        if address == 0xA83F_8110 { return .metadata }
        for (network, bits, kind) in ipv4Blocks where address >> UInt32(32 - bits) == network >> UInt32(32 - bits) { return kind }
        return .public
    }

    private static let ipv4Blocks: [(network: UInt32, bits: Int, kind: AddressKind)] = [
        (0x0000_0000, 32, .unspecified),
        (0x0000_0000, 8, .reserved),  // 0.0.0.0/8, this network
        (0x0A00_0000, 8, .private),  // 10.0.0.0/8
        (0x6440_0000, 10, .sharedAddressSpace),  // 100.64.0.0/10
        (0x7F00_0000, 8, .loopback),  // 127.0.0.0/8
        (0xA9FE_0000, 16, .linkLocal),  // 169.254.0.0/16, with the metadata of most clouds
        (0xAC10_0000, 12, .private),  // 172.16.0.0/12
        (0xC000_0000, 24, .reserved),  // 192.0.0.0/24
        (0xC000_0200, 24, .reserved),  // 192.0.2.0/24, documentation
        (0xC058_6300, 24, .embedding),  // 192.88.99.0/24, relays of 6to4
        (0xC0A8_0000, 16, .private),  // 192.168.0.0/16
        (0xC612_0000, 15, .reserved),  // 198.18.0.0/15, benchmarking
        (0xC633_6400, 24, .reserved),  // 198.51.100.0/24, documentation
        (0xCB00_7100, 24, .reserved),  // 203.0.113.0/24, documentation
        (0xE000_0000, 4, .multicast),  // 224.0.0.0/4
        (0xF000_0000, 4, .reserved),  // 240.0.0.0/4, with the broadcast address
    ]

    /// What is not global unicast (2000::/3) is refused whole, so that what is assigned later is closed until it is looked at.
    private var kindOfIPv6: AddressKind {
        if high == 0, low == 0 { return .unspecified }
        if high == 0, low == 1 { return .loopback }
        if high == 0 { return .embedding }  // ::/64, with IPv4-compatible (::/96) and IPv4-translated (::ffff:0:0:0/96)
        if high >> 32 == 0x0064_FF9B { return .embedding }  // NAT64: 64:ff9b::/96 and 64:ff9b:1::/48
        if high >> 57 == 0xFC >> 1 { return .private }  // fc00::/7
        if high >> 54 == 0xFE80 >> 6 { return .linkLocal }  // fe80::/10
        if high >> 54 == 0xFEC0 >> 6 { return .private }  // fec0::/10, site-local of old
        if high >> 56 == 0xFF { return .multicast }
        guard high >> 61 == 0b001 else { return .reserved }
        if high >> 48 == 0x2002 { return .embedding }  // 6to4
        if high >> 32 == 0x2001_0000 { return .embedding }  // Teredo
        if high >> 41 == 0x2001_0000 >> 9 { return .reserved }  // 2001::/23, protocol assignments
        if high >> 32 == 0x2001_0DB8 { return .reserved }  // documentation
        if high >> 44 == 0x3FFF0 { return .reserved }  // 3fff::/20, documentation
        if low >> 32 & 0xFDFF_FFFF == 0x0000_5EFE { return .embedding }  // ISATAP
        return .public
    }
}
