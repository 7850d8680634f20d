import Domain
import HsafaClient
import Runtime
import Storage
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

    @Test func `beyond the hash queue keys are told to come again, and known ones are served`() async throws {
        let gateway = try await TestGateway.running(in: .fresh()) { $0.maxQueuedHashes = 1 }
        let tenant = try await TestTenant.make(on: gateway)
        #expect(try await tenant.send("GET", "/api/agents").status == 200)
        // A key whose hash takes seconds: while one is computed and one waits, there is no room.
        let slow = CredentialToken.generate(.apiKey)
        _ = try await Bootstrap(owner: gateway.environment.owner).insertKey(
            tenant: tenant.scope.tenantID, publicID: slow.id, name: "slow",
            secretHash: "$argon2id$v=19$m=65536,t=48,p=1$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            scopes: [.agentsRead], isAdmin: false)
        let answers = try await withThrowingTaskGroup(of: Answer.self) { group in
            for _ in 0..<6 {
                group.addTask { try await guess(gateway, AuthenticationTests.wrongSecret(slow.text)) }
            }
            var answers: [Answer] = []
            while let answer = try await group.next() {
                answers.append(answer)
                // Nobody whom this process knows stands in that queue.
                #expect(try await tenant.send("GET", "/api/agents").status == 200)
            }
            return answers
        }
        let refused = answers.filter { $0.status == 503 }
        #expect(refused.count == 4 && answers.count - refused.count == 2, "\(answers.map(\.status))")
        for answer in refused {
            try answer.expectProblem(503, "unavailable")
            #expect(answer.header("Retry-After").flatMap { Int($0) } ?? 0 >= 1)
        }
        for answer in answers where answer.status != 503 { try answer.expectProblem(401, "unauthorized") }
    }

    @Test func `what is no key at all costs nothing and counts for nothing`() async throws {
        let gateway = try await gateway()
        for _ in 0..<(Limits.failuresPerAddress * 3) { #expect(try await guess(gateway, "hsk_nonsense").status == 401) }
        let tenant = try await TestTenant.make(on: gateway)
        #expect(try await guess(gateway, tenant.key).status == 200)
    }
}
