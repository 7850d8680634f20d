import Domain
import Testing

struct EgressRulesTests {
    @Test(arguments: [
        ("8.8.8.8", AddressKind.public), ("1.0.0.1", .public), ("172.15.255.255", .public), ("172.32.0.0", .public),
        ("100.63.255.255", .public), ("100.128.0.0", .public), ("192.0.1.0", .public), ("223.255.255.255", .public),
        ("198.17.255.255", .public), ("198.20.0.0", .public), ("11.0.0.0", .public), ("9.255.255.255", .public),
        ("0.0.0.0", .unspecified), ("0.0.0.1", .reserved), ("10.0.0.0", .private), ("10.255.255.255", .private),
        ("127.0.0.1", .loopback), ("127.255.255.255", .loopback), ("169.254.169.254", .linkLocal), ("172.16.0.0", .private),
        ("172.31.255.255", .private), ("192.168.1.1", .private), ("100.64.0.0", .sharedAddressSpace),
        ("100.100.100.200", .sharedAddressSpace), ("100.127.255.255", .sharedAddressSpace), ("168.63.129.16", .metadata),
        ("192.0.0.192", .reserved), ("192.0.2.1", .reserved), ("198.18.0.0", .reserved), ("198.19.255.255", .reserved),
        ("198.51.100.1", .reserved), ("203.0.113.1", .reserved), ("192.88.99.1", .embedding), ("224.0.0.1", .multicast),
        ("239.255.255.255", .multicast), ("240.0.0.1", .reserved), ("255.255.255.255", .reserved),
        ("2606:4700::1111", .public), ("2a00:1450:4001::1", .public), ("::", .unspecified), ("::1", .loopback),
        ("::2", .embedding), ("::127.0.0.1", .embedding), ("::8.8.8.8", .embedding), ("::ffff:127.0.0.1", .loopback),
        ("::ffff:8.8.8.8", .public), ("::ffff:a9fe:a9fe", .linkLocal), ("::ffff:0:127.0.0.1", .embedding),
        ("64:ff9b::127.0.0.1", .embedding), ("64:ff9b::8.8.8.8", .embedding), ("64:ff9b:1::a00:1", .embedding),
        ("2002:7f00:1::", .embedding), ("2002:808:808::1", .embedding), ("2001::1", .embedding), ("2001:0:7f00:1::", .embedding),
        ("2001:2::1", .reserved), ("2001:20::1", .reserved), ("2001:1ff:ffff::", .reserved), ("2001:200::1", .public),
        ("2001:db8::1", .reserved), ("3fff::1", .reserved), ("fc00::1", .private), ("fd00:ec2::254", .private),
        ("fd20:ce::254", .private), ("fe80::1", .linkLocal), ("febf::1", .linkLocal), ("fec0::1", .private), ("ff02::1", .multicast),
        ("100::1", .reserved), ("4000::1", .reserved), ("5f00::1", .reserved), ("2a00::5efe:a00:1", .embedding),
        ("2a00::200:5efe:a00:1", .embedding),
    ])
    func `every special address has its kind`(text: String, kind: AddressKind) throws {
        #expect(try #require(IPAddress(text)).kind == kind)
    }

    private static let rules: EgressRules = {
        func patterns(_ texts: [String]) -> [HostPattern] { texts.compactMap { try? HostPattern($0) } }
        return EgressRules(
            byDefault: .deny,
            allowances: [
                .init(tenants: [Glob("acme")], hosts: patterns(["*.example.org", "10.0.0.5:8443", "192.168.0.0/16"])),
                .init(tenants: nil, hosts: patterns(["open.test:443", "[fd00::5]:80", "[fd11::/16]:81", "8.8.4.4"])),
            ])
    }()

    @Test(arguments: [
        ("https://api.example.org/", ["8.8.8.8"], "acme", true), ("https://a.b.example.org/", ["8.8.8.8"], "acme", true),
        ("https://example.org/", ["8.8.8.8"], "acme", false), ("https://evilexample.org/", ["8.8.8.8"], "acme", false),
        ("https://api.example.org.evil.test/", ["8.8.8.8"], "acme", false), ("https://api.example.org/", ["8.8.8.8"], "other", false),
        ("https://api.example.org/", ["10.0.0.6"], "acme", false), ("https://api.example.org/", ["127.0.0.1"], "acme", false),
        ("https://api.example.org/", ["8.8.8.8", "169.254.169.254"], "acme", false),
        ("https://api.example.org/", ["8.8.8.8", "::1"], "acme", false), ("https://api.example.org/", [], "acme", false),
        // A listed address is open, however it was found.
        ("https://10.0.0.5:8443/", ["10.0.0.5"], "acme", true), ("https://[::ffff:10.0.0.5]:8443/", ["10.0.0.5"], "acme", true),
        ("https://intern.test:8443/", ["10.0.0.5"], "acme", true), ("https://10.0.0.5/", ["10.0.0.5"], "acme", false),
        ("https://10.0.0.5:8443/", ["10.0.0.5"], "other", false), ("https://192.168.7.7:1/", ["192.168.7.7"], "acme", true),
        ("https://open.test/", ["8.8.8.8"], "other", true), ("https://open.test:444/", ["8.8.8.8"], "other", false),
        ("http://[fd00::5]/", ["fd00::5"], "other", true), ("http://[fd00::6]/", ["fd00::6"], "other", false),
        ("http://[fd11:1::5]:81/", ["fd11:1::5"], "other", true), ("http://8.8.4.4/", ["8.8.4.4"], "other", true),
        ("http://8.8.8.8/", ["8.8.8.8"], "acme", false),
        // What was resolved is not what stands in the URL.
        ("http://8.8.4.4/", ["8.8.4.4", "8.8.8.8"], "acme", false),
    ])
    func `an allow-list opens what it lists, to whom it lists it, and a name never opens a private address`(
        url: String, addresses: [String], tenant: String, isOpen: Bool
    ) throws {
        let url = try OutboundURL(url)
        let verdict = Self.rules.decide(url.host, port: url.port, addresses: addresses.compactMap { IPAddress($0) }, tenantSlug: tenant)
        #expect(verdict.isAllowed == isOpen)
        if isOpen { #expect(Self.rules.mayOpen(url.host, port: url.port, tenantSlug: tenant)) }
    }

    @Test
    func `by default every public address is open and no other`() throws {
        func decide(_ addresses: String...) -> EgressVerdict {
            EgressRules.publicAddresses.decide(
                .name("any.test"), port: 443, addresses: addresses.compactMap { IPAddress($0) }, tenantSlug: "t")
        }
        #expect(decide("8.8.8.8", "2606:4700::1111") == .allowed)
        let loopback = try #require(IPAddress("127.0.0.1"))
        #expect(decide("8.8.8.8", "127.0.0.1") == .refused(.notPublic(.loopback, loopback)))
        #expect(!decide("64:ff9b::a9fe:a9fe").isAllowed)
        #expect(decide() == .refused(.noAddress))
    }

    @Test
    func `an IPv6 block never opens IPv4 addresses, however wide it is`() throws {
        let wide = EgressRules(byDefault: .deny, allowances: [.init(tenants: nil, hosts: [try HostPattern("::/0")])])
        let mapped = EgressRules(byDefault: .deny, allowances: [.init(tenants: nil, hosts: [try HostPattern("::ffff:127.0.0.1")])])
        let loopback = try #require(IPAddress("127.0.0.1"))
        #expect(!wide.decide(.address(loopback), port: 80, addresses: [loopback], tenantSlug: "t").isAllowed)
        #expect(mapped.decide(.address(loopback), port: 80, addresses: [loopback], tenantSlug: "t").isAllowed)
    }

    @Test(arguments: [
        "", "*", "*.", "**.example.org", "a.*.example.org", "api*.example.org", "https://example.org", "example.org/path", "10.0.0.0/33",
        "10.0.0/8", "127.1", "0x7f.0.0.1", "2130706433", "*.10.0.0.1", "example.org:0", "example.org:99999", "example.org:",
        "[10.0.0.1]:80",
        "::1:99999999", "user@example.org", "例え.jp", "exa mple.org", "fd00::/129",
    ])
    func `a pattern that says nothing exact is refused`(text: String) {
        #expect(throws: HostPatternError.self) { try HostPattern(text) }
    }

    @Test
    func `a secret's host covers the URL's host, by name or address, and only on its port`() throws {
        func covers(_ pattern: String, _ url: String) throws -> Bool {
            let url = try OutboundURL(url)
            return try HostPattern(pattern).covers(url.host, port: url.port)
        }
        #expect(try covers("API.example.org.", "https://api.example.org/"))
        #expect(try covers("api.example.org:443", "https://api.example.org/"))
        #expect(try !covers("api.example.org:443", "http://api.example.org/"))
        #expect(try !covers("api.example.org", "https://example.org/"))
        #expect(try covers("127.0.0.1:8080", "http://127.0.0.1:8080/"))
        #expect(try !covers("127.0.0.1:8080", "http://localhost:8080/"))
        #expect(try covers("::1", "http://[::1]:99/"))
    }
}
