import Foundation
import HsafaClient
import JSON
import Redis
import Storage
import TestServers
import TestSupport
import Testing

/// Keys, tenants and the audit log from the two command lines, against the real binary.
@Suite(.serialized, .timeLimit(.minutes(5))) struct KeyCommandTests {
    private struct Output {
        let status: Int32
        let text: String
        let error: String

        func json() throws -> JSONNode { try JSONDocument(parsing: Array(text.utf8)).root }
        func string(_ key: String) throws -> String { try #require(try json()[key]?.string, "\(text) \(error)") }
        /// The first line alone: the key.
        var line: String { String(text.split(separator: "\n").first ?? "") }
    }

    private func run(_ program: String, _ arguments: [String], _ variables: [String: String]) throws -> Output {
        let (status, output, error) = try ChildProcess.run(
            [try TestEnvironment.variable("TEST_BIN") + "/" + program] + arguments,
            environment: variables.merging(["NO_COLOR": "1"]) { first, _ in first }, directory: NSTemporaryDirectory())
        return Output(status: status, text: output, error: error)
    }

    @Test func keysAreMadeRotatedAndRevokedFromBothCommandLines() async throws {
        let redis = try await ThrowawayRedis.start()
        defer { redis.remove() }
        let environment = try await TestEnvironment.fresh(redis: redis.url)
        let gateway = try GatewayProcess(environment)
        try await gateway.start()
        func machine(_ arguments: String...) throws -> Output {
            try run("hsafa-gateway", ["keys"] + arguments, ["DATABASE_OWNER_URL": environment.ownerURL, "REDIS_URL": environment.redisURL])
        }
        func hsafa(_ key: String, _ arguments: String...) throws -> Output {
            try run("hsafa", arguments, ["HSAFA_URL": gateway.url, "HSAFA_API_KEY": key])
        }
        let made = try machine("create", "--tenant", "acme", "--json")
        #expect(made.status == 0, "\(made.error)")
        let (first, firstID) = (try made.string("key"), try made.string("keyId"))
        #expect(try hsafa(first, "list", "agents").status == 0)

        // Over the API.
        let issued = try hsafa(first, "keys", "create", "--name", "ci", "--scope", "agents:read", "--expires-days", "1", "--json")
        #expect(issued.status == 0, "\(issued.error)")
        let (ci, ciID) = (try issued.string("key"), try issued.string("keyId"))
        #expect(try hsafa(ci, "list", "agents").status == 0)
        #expect(try hsafa(ci, "keys", "list").status == 3)
        let rotated = try hsafa(first, "keys", "rotate", ciID, "--overlap-seconds", "0")
        #expect(rotated.status == 0, "\(rotated.error)")
        #expect(try hsafa(ci, "list", "agents").status == 3)
        #expect(try hsafa(rotated.line, "list", "agents").status == 0)
        #expect(try hsafa(first, "keys", "list").text.contains(ciID))
        #expect(try hsafa(first, "keys", "revoke", ciID).status == 0)
        #expect(try hsafa(rotated.line, "list", "agents").status == 3)
        #expect(try hsafa(first, "keys", "revoke", "00000000-0000-7000-8000-000000000000").status == 4)
        #expect(try hsafa(first, "audit", "--action", "key.revoke").text.contains(ciID))
        #expect(try hsafa(first, "admin", "tenants", "list").status == 3)
        #expect(try hsafa(first, "keys", "create", "--name", "x", "--scope", "everything").status == 64)

        // An admin, made on the machine.
        let admin = try machine("create", "--admin", "--json").string("key")
        let tenant = try hsafa(admin, "admin", "tenants", "create", "globex", "--name", "Globex", "--json").string("tenantId")
        let theirs = try hsafa(admin, "admin", "keys", "create", tenant, "--name", "first", "--scope", "agents:read")
        #expect(try hsafa(theirs.line, "list", "agents").status == 0)
        #expect(try hsafa(admin, "admin", "tenants", "suspend", tenant, "--reason", "unpaid").text.contains("suspended"))
        #expect(try hsafa(theirs.line, "list", "agents").error.contains("tenant_suspended"))
        #expect(try hsafa(admin, "admin", "tenants", "list", "--status", "suspended").text.contains("globex"))
        #expect(try hsafa(admin, "admin", "tenants", "resume", tenant).status == 0)
        #expect(try hsafa(theirs.line, "list", "agents").status == 0)
        #expect(try hsafa(admin, "admin", "tenants", "limits", tenant).text == "globex has the limits of the gateway's configuration.\n")
        let limited = try hsafa(admin, "admin", "tenants", "limits", tenant, "--set", "streams=7", "--set", "agents=1")
        #expect(limited.status == 0 && limited.text == "streams: 7\nagents: 1\n", "\(limited.text) \(limited.error)")
        let back = try hsafa(admin, "admin", "tenants", "limits", tenant, "--default", "agents", "--json")
        #expect(try back.json()["limits"]?.rawJSON.string == #"{"streams":7}"#)
        for wrong in ["streams", "streams=0", "stream=5", "streams=5.5"] {
            #expect(try hsafa(admin, "admin", "tenants", "limits", tenant, "--set", wrong).status == 64)
        }
        #expect(try hsafa(admin, "admin", "tenants", "limits", tenant, "--set", "streams=5", "--default", "streams").status == 64)
        #expect(try hsafa(first, "admin", "tenants", "limits", tenant, "--set", "streams=5").status == 3, "a tenant's key sets no limits")
        let log = try hsafa(admin, "admin", "audit", "--tenant", tenant)
        for action in ["tenant.create", "key.create", "tenant.suspend", "tenant.resume", "tenant.update"] {
            #expect(log.text.contains(action), "\(log.text)")
        }

        // What is revoked on the machine is told to the gateways over Redis: they need not wait for their poll.
        #expect(try machine("list", "--tenant", "acme").text.contains(firstID))
        let next = try machine("rotate", "--tenant", "acme", "--key", firstID, "--overlap-seconds", "600", "--json").string("key")
        #expect(try hsafa(first, "list", "agents").status == 0)
        #expect(try hsafa(next, "list", "agents").status == 0)
        let (pushes, heard) = AsyncStream.makeStream(of: RedisPush.self)
        let subscription = environment.subscriber.subscribe(RedisKeys.keysChanged) { heard.yield($0) }
        defer { subscription.cancel() }
        var told = pushes.makeAsyncIterator()
        #expect(await told.next() == .subscribed)
        let revoked = try machine("revoke", "--tenant", "acme", "--key", firstID)
        #expect(revoked.status == 0 && revoked.error.isEmpty, "\(revoked.error)")
        guard case .message = await told.next() else {
            Issue.record("nobody was told")
            return
        }
        #expect(try await eventually { try hsafa(next, "list", "agents").status == 3 })
        #expect(try machine("revoke", "--tenant", "nobody", "--key", firstID).status != 0)
        #expect(try machine("create", "--admin", "--scope", "runs:read").status == 64)
    }

    @Test func whenAKeyWasLastUsedSurvivesAnOrderlyEnd() async throws {
        let environment = try await TestEnvironment.fresh()
        let scope = try await environment.makeTenant()
        let key = try await environment.makeKey(scope)
        let gateway = try GatewayProcess(environment)
        try await gateway.start()
        let client = try HsafaClient(baseURL: gateway.url, apiKey: key, httpClient: HsafaClient.makeHTTPClient()).heldToContract()
        #expect(try await client.raw("GET", "/api/agents").status == 200)
        await client.shutdown()
        #expect(gateway.terminate() == 0)
        let listed = try await environment.database.tenant(scope).apiKeys(limit: 1, after: nil)
        #expect(listed.first?.lastUsedAt != nil)
    }
}
