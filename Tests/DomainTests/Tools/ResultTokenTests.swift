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
        for position in stride(from: 4, to: token.utf8.count, by: 3) {
            var bytes = Array(token.utf8)
            bytes[position] = bytes[position] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            #expect(ResultToken.verify(String(decoding: bytes, as: UTF8.self), for: call, MasterKeys(current: old)) == nil)
        }
    }

    /// The example of the specification: https://github.com/standard-webhooks/standard-webhooks
    @Test func `a signature is the one that Standard Webhooks shows`() throws {
        let secret = try #require(WebhookSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
        let signature = secret.signature(
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: 1_614_265_330, body: Array(#"{"test": 2432232314}"#.utf8))
        #expect(signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
        for bad in ["", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!!"] { #expect(WebhookSecret(bad) == nil) }
        #expect(WebhookSecret(WebhookSecret().text) != nil)
    }

    @Test(arguments: [
        (200, #"{"a":1}"#, #"{"a":1}"#), (200, "", "null"), (200, "text", #""text""#), (204, "ignored", "null"),
        (200, #"{"error":null,"x":1}"#, #"{"error":null,"x":1}"#),
    ])
    func `an answer that succeeds is the result`(_ status: Int, _ body: String, _ result: String) {
        guard case .outcome(.result(let json, .external)) = DeliveryAnswer.reading(status: status, body: Array(body.utf8), isCut: false)
        else {
            Issue.record("\(status) \(body)")
            return
        }
        #expect(json.string == result)
    }

    @Test func `other statuses promise, end or repeat`() {
        #expect(DeliveryAnswer.reading(status: 202, body: [], isCut: false) == .accepted)
        for status in [301, 400, 401, 404, 429, 500, 503] {
            guard case .retry = DeliveryAnswer.reading(status: status, body: [], isCut: false) else {
                Issue.record("\(status)")
                continue
            }
        }
        guard case .outcome(.failed) = DeliveryAnswer.reading(status: 410, body: [], isCut: false) else {
            Issue.record("410")
            return
        }
    }
}
