import Domain
import Testing

struct OutboundURLTests {
    @Test(arguments: [
        ("https://api.example.org/v1?a=b#c", "https://api.example.org/v1?a=b"),
        ("HTTPS://API.Example.ORG", "https://api.example.org/"),
        ("http://example.org.:80/x", "http://example.org/x"),
        ("http://example.org:8080", "http://example.org:8080/"),
        ("https://example.org:443?q", "https://example.org/?q"),
        ("http://127.0.0.1:9/", "http://127.0.0.1:9/"),
        ("http://127.0.0.1./", "http://127.0.0.1/"),
        ("http://[::1]:81/", "http://[::1]:81/"),
        ("http://[0:0:0:0:0:FFFF:7f00:1]/", "http://127.0.0.1/"),
        ("http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/"),
        ("http://a_b.example/ü", "http://a_b.example/%C3%BC"),
        ("http://0x.example/", "http://0x.example/"),
        ("http://127.0.0.1.nip.io/", "http://127.0.0.1.nip.io/"),
        ("http://example.org/../a", "http://example.org/../a"),
        ("http://example.org:00080/", "http://example.org/"),
    ])
    func `one URL has one reading`(text: String, normal: String) throws {
        #expect(try OutboundURL(text).description == normal)
    }

    @Test(arguments: [
        "", "example.org", "//example.org/", "ftp://example.org/", "file:///etc/passwd", "gopher://x/", "javascript:x", "http:/x", "http:x",
        "http://", "http:///x", "https://?x", "http://:80/", "http://.", "http://..", "http://a..b/", "http://.a/",
        // The same address in other clothes.
        "http://2130706433/", "http://0x7f000001/", "http://0x7f.0.0.1/", "http://0177.0.0.1/", "http://127.1/", "http://127.0.1/",
        "http://017700000001/", "http://127.0.0.01/", "http://1.1.1.256/", "http://256.1/", "http://1.2.3.4.5/", "http://0x/",
        "http://foo.0x7f/", "http://foo.1/", "http://0/", "http://127.0.0.1.2./", "http://00000000000127.0.0.1/", "http://0X7F.1/",
        // Userinfo, encoding, other scripts.
        "http://user@example.org/", "http://user:pw@example.org/", "http://example.org:80@evil.test/", "http://good.test@127.0.0.1/",
        "http://example.org%2f@evil.test/", "http://%31%32%37.0.0.1/", "http://exam%70le.org/", "http://例え.jp/",
        "http://１２７.0.0.1/", "http://ⓛocalhost/", "http://127。0。0。1/", "http://ex\u{AD}ample.org/", "http://a\u{200B}.example/",
        // Whitespace, controls, backslashes.
        "http://example.org\\@evil.test/", "http:\\\\example.org", "http://exa mple.org/", " http://example.org", "http://example.org/ a",
        "http://example.org\r\nHost: evil.test/", "http://example.org/\u{0}", "http://exa\tmple.org/", "http://example.org/\u{7F}",
        // Ports and brackets.
        "http://example.org:/", "http://example.org:0/", "http://example.org:65536/", "http://example.org:-1/", "http://example.org:8a/",
        "http://example.org:99999999999999999999/", "http://[::1/", "http://[::1]x/", "http://[127.0.0.1]/", "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/", "http://::1/", "http://[]/", "http://[::1]]/", "http://[::1]:/", "http://example.org:٤٤/",
        // Labels.
        "http://-a.example/", "http://a-.example/", "http://" + String(repeating: "a", count: 64) + ".example/",
        "http://" + String(repeating: "a.", count: 130) + "example/", "http://example.org/" + String(repeating: "a", count: 8200),
        "http://a,b/", "http://a;b/", "http://a!b/", "http://a*b/", "http://*.example.org/", "http://{{host}}/", "http://a'b/",
    ])
    func `a URL in which parsers could find different hosts is refused`(text: String) {
        #expect(throws: OutboundURLError.self) { try OutboundURL(text) }
    }

    @Test(arguments: [
        ("/x", "https://h.example:8443/x"), ("x", "https://h.example:8443/a/b/x"), ("../x?y", "https://h.example:8443/a/x?y"),
        ("../../../x", "https://h.example:8443/x"), ("./", "https://h.example:8443/a/b/"), ("?y", "https://h.example:8443/a/b/c?y"),
        ("..", "https://h.example:8443/a/"), ("", "https://h.example:8443/a/b/c?q"), ("#f", "https://h.example:8443/a/b/c?q"),
        ("//other.example/x", "https://other.example/x"), ("http://other.example", "http://other.example/"),
        ("HTTP://OTHER.example./", "http://other.example/"), ("x?a/../b", "https://h.example:8443/a/b/x?a/../b"),
        ("/ü", "https://h.example:8443/%C3%BC"), ("./a:b", "https://h.example:8443/a/b/a:b"),
    ])
    func `a redirect is resolved as RFC 3986 says`(reference: String, expected: String) throws {
        let base = try OutboundURL("https://h.example:8443/a/b/c?q")
        #expect(try base.resolving(reference).description == expected)
    }

    @Test(arguments: [
        "ftp://x/", "javascript:alert(1)", "//user@evil.test/", "http://127.1/", "//0x7f.1/", "/a b", "\\\\evil.test", "/\r\nX: y",
    ])
    func `a redirect to something that is no web address is refused`(reference: String) throws {
        let base = try OutboundURL("https://h.example/")
        #expect(throws: OutboundURLError.self) { try base.resolving(reference) }
    }

    @Test
    func `an origin is scheme, host and port`() throws {
        #expect(try OutboundURL("https://A.example:443/x").origin == OutboundURL("https://a.example./y").origin)
        #expect(try OutboundURL("https://a.example/").origin != OutboundURL("http://a.example/").origin)
        #expect(try OutboundURL("https://a.example/").origin != OutboundURL("https://a.example:444/").origin)
    }
}
