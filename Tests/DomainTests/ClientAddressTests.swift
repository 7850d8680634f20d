import Domain
import Testing

struct ClientAddressTests {
    @Test(arguments: [
        "127.0.0.1", "203.0.113.255", "::1", "2001:db8::8a2e:370:7334", "fe80::1", "::",
    ])
    func `an address reads back as it is written`(_ text: String) throws {
        #expect(try #require(IPAddress(text)).description == text)
    }

    @Test(arguments: ["", "1.2.3", "1.2.3.4.5", "256.1.1.1", "fe80::1%eth0", "localhost", " 1.2.3.4", ":::", "1.2.3.4:80", "0x7f.1"])
    func `what is no address is none`(_ text: String) { #expect(IPAddress(text) == nil) }

    @Test func `both spellings of an IPv4 address are equal, and an IPv6 customer is a 64`() throws {
        #expect(IPAddress("::ffff:192.0.2.1") == IPAddress("192.0.2.1"))
        #expect(IPAddress("2001:db8:1:2::1")?.subscriber == IPAddress("2001:db8:1:2:ffff::9")?.subscriber)
        #expect(IPAddress("2001:db8:1:2::1")?.subscriber != IPAddress("2001:db8:1:3::1")?.subscriber)
        #expect(IPAddress("192.0.2.1")?.subscriber != IPAddress("192.0.2.2")?.subscriber)
    }

    @Test(arguments: [
        ("10.0.0.0/8", "10.255.1.2", true), ("10.0.0.0/8", "11.0.0.0", false), ("192.0.2.7", "192.0.2.7", true),
        ("192.0.2.7", "192.0.2.8", false), ("0.0.0.0/0", "8.8.8.8", true), ("0.0.0.0/0", "2001:db8::1", false),
        ("2001:db8::/32", "2001:db8:ffff::1", true), ("2001:db8::/32", "2001:db9::1", false), ("2001:db8::/65", "2001:db8::1", true),
        ("2001:db8::/65", "2001:db8:0:0:8000::1", false), ("::/0", "1.2.3.4", true), ("10.0.0.0/8", "::ffff:10.1.1.1", true),
        ("192.0.2.128/25", "192.0.2.127", false), ("192.0.2.128/25", "192.0.2.129", true), ("::1/128", "::1", true),
    ])
    func `a block contains what its prefix says`(_ block: String, _ address: String, _ isInside: Bool) throws {
        #expect(try #require(AddressBlock(block)).contains(try #require(IPAddress(address))) == isInside)
    }

    @Test(arguments: ["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8/8", "/8", "::/129", "10.0.0.0/a", "10.0.0.0/0008"])
    func `what is no block is none`(_ text: String) { #expect(AddressBlock(text) == nil) }

    private func client(_ peer: String, _ forwardedFor: [String], trusting blocks: [String]) throws -> String {
        let proxies = TrustedProxies(try blocks.map { try #require(AddressBlock($0)) })
        return proxies.client(peer: try #require(IPAddress(peer)), forwardedFor: forwardedFor).description
    }

    @Test func `the client is the right-most address that no trusted proxy has`() throws {
        let proxies = ["10.0.0.0/8", "2001:db8::/32"]
        #expect(try client("203.0.113.1", ["198.51.100.1"], trusting: []) == "203.0.113.1")
        #expect(try client("203.0.113.1", ["198.51.100.1"], trusting: proxies) == "203.0.113.1")
        #expect(try client("10.0.0.1", ["198.51.100.1"], trusting: proxies) == "198.51.100.1")
        #expect(try client("10.0.0.1", ["1.1.1.1, 198.51.100.1, 10.0.0.2"], trusting: proxies) == "198.51.100.1")
        #expect(try client("10.0.0.1", ["1.1.1.1", "198.51.100.1", "10.0.0.2"], trusting: proxies) == "198.51.100.1")
        #expect(try client("10.0.0.1", ["198.51.100.1:4711, [2001:db8::5]:80"], trusting: proxies) == "198.51.100.1")
        #expect(try client("10.0.0.1", [], trusting: proxies) == "10.0.0.1")
        #expect(try client("10.0.0.1", ["10.0.0.3, 10.0.0.2"], trusting: proxies) == "10.0.0.3")
        // What is no address ends the search at the proxy that passed it on.
        #expect(try client("10.0.0.1", ["198.51.100.1, unknown, 10.0.0.2"], trusting: proxies) == "10.0.0.2")
        #expect(try client("10.0.0.1", [""], trusting: proxies) == "10.0.0.1")
        #expect(try client("10.0.0.1", ["198.51.100.1,"], trusting: proxies) == "10.0.0.1")
    }
}
