import Domain
import Testing

struct CredentialTokenTests {
    @Test(arguments: [CredentialToken.Kind.apiKey, .enrollment])
    func `a new token is read back by its own kind alone`(kind: CredentialToken.Kind) throws {
        for _ in 0..<200 {
            let token = CredentialToken.generate(kind)
            let read = try #require(CredentialToken(token.text, kind: kind))
            #expect(read.id == token.id)
            #expect(read.text == token.text)
            #expect(read.id.utf8.count == 12)
            #expect(token.text.utf8.count == 66)
            #expect(token.text.hasPrefix(kind.rawValue + "_" + token.id + "_"))
            #expect(CredentialToken(token.text, kind: kind == .apiKey ? .enrollment : .apiKey) == nil)
        }
    }

    @Test func `each changed character is refused`() {
        let text = Array(CredentialToken.generate(.apiKey).text)
        let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-é ")
        for index in text.indices {
            for other in alphabet where other != text[index] {
                var changed = text
                changed[index] = other
                #expect(CredentialToken(String(changed), kind: .apiKey) == nil, "position \(index), \(other)")
            }
        }
    }

    @Test func `two neighbours that changed places are refused`() {
        let text = Array(CredentialToken.generate(.enrollment).text)
        for index in 0..<text.count - 1 where text[index] != text[index + 1] {
            var changed = text
            changed.swapAt(index, index + 1)
            #expect(CredentialToken(String(changed), kind: .enrollment) == nil, "position \(index)")
        }
    }

    @Test func `each other length is refused`() {
        let text = CredentialToken.generate(.apiKey).text
        for count in 0..<text.count { #expect(CredentialToken(String(text.prefix(count)), kind: .apiKey) == nil) }
        for tail in ["0", "a", "_", "\n", " ", text] { #expect(CredentialToken(text + tail, kind: .apiKey) == nil) }
        #expect(CredentialToken(" " + text, kind: .apiKey) == nil)
    }

    @Test func `no two tokens share an id or a secret`() {
        let tokens = (0..<1000).map { _ in CredentialToken.generate(.apiKey) }
        #expect(Set(tokens.map(\.id)).count == 1000)
        #expect(Set(tokens.map { String($0.text.dropFirst(17).prefix(43)) }).count == 1000)
    }
}
