import Domain
import HsafaClient
import Runtime
import TestSupport
import Testing

/// Guessing keys, and flooding with them.
@Suite(.timeLimit(.minutes(2)))
struct GuessingTests {
    private func guess(_ gateway: TestGateway, _ key: String, from address: String? = nil) async throws -> Answer {
        try await gateway.client(key: key).send(
            "GET", "/api/agents", headers: [("X-Request-Id", "same")] + (address.map { [("X-Forwarded-For", $0)] } ?? []))
    }

    @Test func `too many wrong keys hold back unknown keys from that address, never a key that is known`() async throws {
        let gateway = try await TestGateway.running(in: .fresh()) { $0.trustedProxies = TrustedProxies([AddressBlock("127.0.0.0/8")!]) }
        let known = try await TestTenant.make(on: gateway)
        let cold = try await TestTenant.make(on: gateway)
        let attacker = "203.0.113.7"
        #expect(try await guess(gateway, known.key, from: attacker).status == 200)
        // Unknown ids and wrong secrets both count; they cost the same answers.
        var refused: Answer?
        for index in 0..<200 where refused == nil {
            let wrong = index % 8 == 0 ? AuthenticationTests.wrongSecret(known.key) : CredentialToken.generate(.apiKey).text
            let answer = try await guess(gateway, wrong, from: attacker)
            if answer.status == 429 { refused = answer } else { try answer.expectProblem(401, "unauthorized") }
        }
        let answer = try #require(refused)
        try answer.expectProblem(429, "too_many_failures")
        #expect(answer.header("Retry-After").flatMap { Int($0) } ?? 0 >= 1)
        // The address gets more with time, so on a slow machine the attacker has to go on.
        func isHeldBack(_ key: String, from address: String) async throws -> Bool {
            for _ in 0..<3 { _ = try await guess(gateway, CredentialToken.generate(.apiKey).text, from: attacker) }
            let hashed = gateway.metric("hsafa_auth_verifications_total")
            let answer = try await guess(gateway, key, from: address)
            return answer.status == 429 && gateway.metric("hsafa_auth_verifications_total") == hashed
        }
        #expect(try await eventually { try await isHeldBack(AuthenticationTests.wrongSecret(known.key), from: attacker) })
        // A right key that this process has not seen: a new one for each try, as one that got through is known.
        let environment = gateway.environment
        #expect(try await eventually { try await isHeldBack(environment.makeKey(cold.scope), from: attacker) })
        #expect(try await guess(gateway, known.key, from: attacker).status == 200)
        // Others are not held back, also where the attacker writes their addresses to the left of what the proxy writes.
        #expect(try await eventually { try await isHeldBack(environment.makeKey(cold.scope), from: "198.51.100.1, \(attacker)") })
        #expect(try await guess(gateway, cold.key, from: "198.51.100.1").status == 200)
    }

    @Test func `without trusted proxies the header of a client changes nothing`() async throws {
        let gateway = try await TestGateway.running(in: .fresh())
        var statuses: Set<Int> = []
        for index in 0..<(Limits.failuresPerAddress + 60) {
            statuses.insert(try await guess(gateway, CredentialToken.generate(.apiKey).text, from: "203.0.113.\(index % 250)").status)
        }
        #expect(statuses == [401, 429])
        let tenant = try await TestTenant.make(on: gateway)
        #expect(try await guess(gateway, tenant.key, from: "198.51.100.1").status == 429)
    }

    @Test func `what is no key at all costs nothing and counts for nothing`() async throws {
        let gateway = try await TestGateway.running(in: .fresh())
        for _ in 0..<(Limits.failuresPerAddress * 3) { #expect(try await guess(gateway, "hsk_nonsense").status == 401) }
        let tenant = try await TestTenant.make(on: gateway)
        #expect(try await guess(gateway, tenant.key).status == 200)
    }
}
