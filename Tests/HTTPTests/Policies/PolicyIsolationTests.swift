import HsafaClient
import JSON
import Testing

/// A policy is a name of its tenant's own.
@Suite(.timeLimit(.minutes(5)))
struct PolicyIsolationTests {
    @Test func `a policy's name in another tenant's hands is another policy`() async throws {
        let owner = try await TestTenant.make()
        let name = try await TenantThings.make(owner)["policyName"]
        let stranger = try await TestTenant.make()
        let before = try await owner.gateway.environment.fingerprint(of: owner)
        try await stranger.send("DELETE", "/api/policies/\(name)").expectProblem(404, "policy_not_found")
        #expect(try await !stranger.send("GET", "/api/policies").text.contains(name))
        #expect(try await stranger.send("PUT", "/api/policies/\(name)", #"{"version":1}"#).status == 201)
        #expect(try await stranger.send("DELETE", "/api/policies/\(name)").status == 204)
        #expect(try await owner.gateway.environment.fingerprint(of: owner) == before)
    }
}
