import Domain
import Testing

struct IdempotencyKeyTests {
    @Test(arguments: [
        ("8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e-40d5-43e8-bc93-6894a57f9324"),
        (#""8e03978e-40d5-43e8-bc93-6894a57f9324""#, "8e03978e-40d5-43e8-bc93-6894a57f9324"),
        ("a", "a"), (#""with space, comma; and \"quotes\" \\""#, #"with space, comma; and "quotes" \"#), ("AbC/09+==", "AbC/09+=="),
        ("order:2026-01-31T09:30:00Z", "order:2026-01-31T09:30:00Z"),
    ])
    func `a bare token and a structured string are read`(header: String, text: String) {
        #expect(IdempotencyKey(header: header)?.text == text)
    }

    @Test(arguments: [
        "", #""""#, "with space", "a,b", #"""#, #""open"#, #"open""#, #""a"b""#, #""a\n""#, #""trailing\""#, #""a";p=1"#, "ümlaut", "\"ü\"",
        "a\tb",
        "a;b", "(a)",
    ])
    func `what is neither is no key`(header: String) {
        #expect(IdempotencyKey(header: header) == nil)
    }

    @Test func `a key may be as long as the bound and not a byte longer`() {
        let longest = String(repeating: "k", count: Limits.maxIdempotencyKeyBytes)
        #expect(IdempotencyKey(header: longest)?.text == longest)
        #expect(IdempotencyKey(header: "\"\(longest)\"")?.text == longest)
        #expect(IdempotencyKey(header: longest + "k") == nil)
        #expect(IdempotencyKey(header: "\"\(longest)k\"") == nil)
    }

    private func request(
        _ key: String = "k", method: String = "POST", path: String = "/p", query: String? = nil, type: String? = "t", body: String = "b"
    ) throws -> IdempotentRequest {
        IdempotentRequest(
            try #require(IdempotencyKey(header: key)), principalID: .generate(), operation: "o", method: method, path: path, query: query,
            contentType: type, body: Array(body.utf8))
    }

    @Test func `method, path and key make the slot, everything else the fingerprint`() throws {
        let first = try request()
        let otherSlots = [try request("l"), try request(method: "PUT"), try request(path: "/q")]
        let otherFingerprints = [try request(query: "a=1"), try request(type: "u"), try request(type: nil), try request(body: "c")]
        for other in otherSlots { #expect(other.slot != first.slot) }
        for other in otherFingerprints { #expect(other.slot == first.slot && other.fingerprint != first.fingerprint) }
        #expect(try request().slot == first.slot)
        #expect(try request().fingerprint == first.fingerprint)
        #expect(first.slot.count == 32 && first.fingerprint.count == 32)
    }

    @Test func `a part cannot be moved into its neighbour`() throws {
        #expect(try request("ab", path: "/c").slot != request("b", path: "/ca").slot)
        #expect(try request(type: "ab", body: "c").fingerprint != request(type: "a", body: "bc").fingerprint)
    }
}
