import Cryptography
import Domain
import JSON
import Testing

struct ResultTokenTests {
    @Test func `a token opens its own call alone, under a key that is known`() throws {
        let old = try #require(MasterKey([UInt8](repeating: 1, count: 32)))
        let new = try #require(MasterKey([UInt8](repeating: 2, count: 32)))
        let (tenant, run, call) = (TenantID.generate(), RunID.generate(), CallID.generate())
        let token = ResultToken.make(tenant, run, call, MasterKeys(current: old))
        let found = try #require(ResultToken.verify(token, for: call, MasterKeys(current: new, others: [old])))
        #expect(found.tenant == tenant && found.run == run)
        #expect(ResultToken.verify(token, for: call, MasterKeys(current: new)) == nil)
        #expect(ResultToken.verify(token, for: .generate(), MasterKeys(current: old)) == nil)
        for position in 4..<token.utf8.count {
            var bytes = Array(token.utf8)
            bytes[position] = bytes[position] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            let verified = ResultToken.verify(String(decoding: bytes, as: UTF8.self), for: call, MasterKeys(current: old))
            // The last character holds bits that mean nothing.
            #expect(verified == nil || position == token.utf8.count - 1, "position \(position)")
        }
        for length in [0, 4, 40, token.utf8.count - 1] {
            #expect(ResultToken.verify(String(token.prefix(length)), for: call, MasterKeys(current: old)) == nil)
        }
        #expect(ResultToken.verify(token + "A", for: call, MasterKeys(current: old)) == nil)
    }

    /// Of another tenant's run, or another run, the same call id has another token.
    @Test func `a token is of tenant, run and call together`() throws {
        let keys = MasterKeys(current: try #require(MasterKey([UInt8](repeating: 1, count: 32))))
        let (tenant, run, call) = (TenantID.generate(), RunID.generate(), CallID.generate())
        let tokens = [
            ResultToken.make(tenant, run, call, keys), ResultToken.make(.generate(), run, call, keys),
            ResultToken.make(tenant, .generate(), call, keys), ResultToken.make(tenant, run, .generate(), keys),
        ]
        #expect(Set(tokens.map { $0.suffix(43) }).count == 4)
    }

    /// The example of the specification: https://github.com/standard-webhooks/standard-webhooks
    @Test func `a signature is the one that Standard Webhooks shows`() throws {
        let secret = try #require(WebhookSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
        let signature = secret.signature(
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: 1_614_265_330, body: Array(#"{"test": 2432232314}"#.utf8))
        #expect(signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
        for bad in ["", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!!"] { #expect(WebhookSecret(bad) == nil) }
        let made = WebhookSecret()
        #expect(WebhookSecret(made.text)?.text == made.text && "\(made)" == "webhook secret")
    }
}
