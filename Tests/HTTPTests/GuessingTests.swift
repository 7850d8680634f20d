import Domain
import HsafaClient
import Runtime
import TestSupport
import Testing

/// Guessing keys, and flooding with them.
@Suite(.timeLimit(.minutes(5)))
struct GuessingTests {
    private func guess(_ gateway: TestGateway, _ key: String, from address: String? = nil) async throws -> Answer {
        try await gateway.client(key: key).send(
            "GET", "/api/agents", headers: [("X-Request-Id", "same")] + (address.map { [("X-Forwarded-For", $0)] } ?? []))
    }

    /// A gateway on which an address gets nothing back while a test runs.
    private func gateway(trusting proxies: TrustedProxies = TrustedProxies()) async throws -> TestGateway {
        try await TestGateway.running(in: .fresh()) { configuration in
            configuration.trustedProxies = proxies
            configuration.failuresPerAddressPerSecond = 1e-9
        }
    }

    @Test func `too many wrong keys hold back unknown keys from that address, never a key that is known`() async throws {
        let gateway = try await gateway(trusting: TrustedProxies([AddressBlock("127.0.0.0/8")!]))
        let known = try await TestTenant.make(on: gateway)
        let cold = try await TestTenant.make(on: gateway)
        let attacker = "203.0.113.7"
        #expect(try await guess(gateway, known.key, from: attacker).status == 200)
        // Unknown ids and wrong secrets both count; they get the same answers.
        for index in 0..<Limits.failuresPerAddress {
            let wrong = index % 8 == 0 ? AuthenticationTests.wrongSecret(known.key) : CredentialToken.generate(.apiKey).text
            try await guess(gateway, wrong, from: attacker).expectProblem(401, "unauthorized")
        }
        let hashed = gateway.metric("hsafa_auth_verifications_total")
        // A wrong one, a right one that this process has not seen, and one behind addresses that the attacker wrote to the left of
        // what the proxy writes.
        for (key, address) in [
            (AuthenticationTests.wrongSecret(known.key), attacker), (cold.key, attacker), (cold.key, "198.51.100.1, \(attacker)"),
        ] {
            let answer = try await guess(gateway, key, from: address)
            try answer.expectProblem(429, "too_many_failures")
            #expect(answer.header("Retry-After").flatMap { Int($0) } ?? 0 >= 1)
        }
        #expect(gateway.metric("hsafa_auth_verifications_total") == hashed)
        #expect(try await guess(gateway, known.key, from: attacker).status == 200)
        #expect(try await guess(gateway, cold.key, from: "198.51.100.1").status == 200)
    }

    @Test func `without trusted proxies the header of a client changes nothing`() async throws {
        let gateway = try await gateway()
        var statuses: [Int] = []
        for index in 0..<(Limits.failuresPerAddress + 60) {
            statuses.append(try await guess(gateway, CredentialToken.generate(.apiKey).text, from: "203.0.113.\(index % 250)").status)
        }
        #expect(statuses == Array(repeating: 401, count: Limits.failuresPerAddress) + Array(repeating: 429, count: 60))
        let tenant = try await TestTenant.make(on: gateway)
        #expect(try await guess(gateway, tenant.key, from: "198.51.100.1").status == 429)
    }

    @Test func `what is no key at all costs nothing and counts for nothing`() async throws {
        let gateway = try await gateway()
        for _ in 0..<(Limits.failuresPerAddress * 3) { #expect(try await guess(gateway, "hsk_nonsense").status == 401) }
        let tenant = try await TestTenant.make(on: gateway)
        #expect(try await guess(gateway, tenant.key).status == 200)
    }
}
