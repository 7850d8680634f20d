import Domain
import HsafaClient
import JSON
import TestSupport
import Testing

@testable import GatewayHTTP

/// The audit log: everything that changes is in it, and no secret is.
@Suite(.timeLimit(.minutes(5)))
struct AuditTests {
    @Test func `every operation that is no read says what it leaves in the audit log, or why nothing`() {
        for route in RouteTable.all {
            switch route.audit {
            case .reads: #expect("\(route.method)" == "GET", "\(route.operationID) must say what it leaves in the audit log")
            case .logs(let actions):
                #expect("\(route.method)" != "GET")
                #expect(!actions.isEmpty, "\(route.operationID)")
            case .omitted(let reason): #expect(!reason.description.isEmpty)
            }
        }
        let named = RouteTable.all.reduce(into: Set<AuditAction>()) { all, route in
            if case .logs(let actions) = route.audit { all.formUnion(actions) }
        }
        #expect(named == Set(AuditAction.allCases).subtracting(AuditAction.onMachineOnly).subtracting(AuditAction.ofRunsOnly))
    }

    /// A policy, two decisions under it, and a version that it refuses.
    private func changePolicies(_ tenant: TestTenant) async throws {
        let asks =
            #"{"version":1,"rules":[{"id":"a","effect":"require_approval","tools":["ask"]},{"id":"n","effect":"deny","tools":["no"]}]}"#
        #expect(try await tenant.send("PUT", "/api/policies/p", asks).status == 201)
        for decision in ["approve", "deny"] {
            let run = try await tenant.run("for-\(decision)", steps: [Config.calls("ask")], tools: [Config.browser("ask")])
            let (call, _) = try await tenant.approval(of: run)
            #expect(try await tenant.decide(decision, run, call).status == 200)
        }
        let config = Config.text("refused", steps: [Config.says], tools: [Config.browser("no")])
        #expect(try await tenant.send("POST", "/api/agents", #"{"name":"refused","config":\#(config)}"#).status == 422)
        #expect(try await tenant.send("DELETE", "/api/policies/p").status == 204)
    }

    /// Everything that can be changed, once.
    private func changeEverything(_ tenant: TestTenant, _ admin: HsafaClient) async throws -> [String] {
        func send(_ method: String, _ path: String, _ body: String? = nil) async throws -> Answer {
            let answer = try await tenant.send(method, path, body, headers: [("X-Request-Id", "audited")])
            #expect((200..<300).contains(answer.status), "\(method) \(path): \(answer.text)")
            return answer
        }
        let agent = try await send(
            "POST", "/api/agents",
            #"{"name":"a","config":\#(Config.text("a", steps: [Config.calls("ask")], tools: [Config.browser("ask")]))}"#)
        let agentID = try agent.string("agentId")
        _ = try await send("POST", "/api/agents/\(agentID)/versions", #"{"config":\#(Config.text("a", steps: [Config.says]))}"#)
        _ = try await send("PATCH", "/api/agents/\(agentID)", #"{"description":"d"}"#)
        let run = try await send("POST", "/api/runs", #"{"agentId":"\#(agentID)",\#(RunTests.hi)}"#).string("runId")
        _ = try await tenant.events(run)
        let waiting = try await tenant.run("waits", steps: [Config.calls("ask")], tools: [Config.browser("ask")])
        let runToken = try await send("POST", "/api/runs/\(waiting)/tokens")
        SuiteLog.noteSecret(String(try runToken.string("token").suffix(49)))
        _ = try await send("DELETE", "/api/runs/\(waiting)/tokens/\(try runToken.string("tokenId"))")
        _ = try await send("POST", "/api/runs/\(waiting)/cancel")
        let starts = try await tenant.run(
            "starts", steps: [Config.call("down"), Config.says], tools: [Config.child("down", of: "waits")])
        _ = try await tenant.pendingCalls(try await tenant.child(of: starts))
        try await changePolicies(tenant)
        _ = try await send("DELETE", "/api/agents/\(agentID)")
        let key = try await send("POST", "/api/keys", #"{"name":"k","scopes":["runs:read"]}"#)
        let keyID = try key.string("keyId")
        let rotated = try await send("POST", "/api/keys/\(keyID)/rotate")
        _ = try await send("DELETE", "/api/keys/\(keyID)")
        let device = try await tenant.device().id
        _ = try await send("PATCH", "/api/devices/\(device)", #"{"displayName":null,"labels":{"zone":"x"}}"#)
        _ = try await send("DELETE", "/api/devices/\(device)")
        let token = try await tenant.client.enrollmentTokens.create(labels: [("zone", "lab")])
        let enrolled = try await TestDeviceSeed(key: try DeviceKey()).enroll(tenant, token)
        _ = try await send("POST", "/api/devices/\(try enrolled.string("deviceId"))/approve")
        _ = try await send("PUT", "/api/secrets/TOKEN", SecretTests.body(SecretTests.value, ["a.test"]))
        _ = try await send("DELETE", "/api/secrets/TOKEN")
        let signing = try await send("POST", "/api/webhook-secret/rotate").string("secret")
        let path = "/api/admin/tenants/\(tenant.scope.tenantID)"
        #expect(try await admin.send("PATCH", path, #"{"name":"Renamed"}"#).status == 200)
        #expect(try await admin.send("POST", path + "/suspend").status == 200)
        #expect(try await admin.send("POST", path + "/resume").status == 200)
        let issued = [try key.string("key"), try rotated.string("key"), token.token, try runToken.string("token")]
        return issued + ["hsk_0123456789ab_" + SecretTests.value, signing]
    }

    @Test func `each change leaves its row, with who, from where and in which request, and without a secret`() async throws {
        let tenant = try await TestTenant.make()
        let (admin, _) = try await AdminTests.admin()
        let secrets = try await changeEverything(tenant, admin)
        let log = try await tenant.send("GET", "/api/audit?limit=200")
        let rows = try log.data()
        let actions = Set(rows.compactMap { $0["action"]?.string.flatMap { AuditAction(rawValue: $0) } })
        let expected = Set(AuditAction.allCases).subtracting(AuditAction.onMachineOnly)
        #expect(actions == expected, "missing: \(expected.subtracting(actions))")
        for row in rows {
            let action = row["action"]?.string ?? ""
            #expect(row["target"]?["kind"]?.string == String(action.prefix { $0 != "." }))
            #expect(row["at"]?.string.flatMap { Timestamp(rfc3339: $0) } != nil)
            switch row["actor"]?["kind"]?.string {
            case "key":
                #expect(row["address"]?.string == "127.0.0.1", "\(action)")
                #expect(row["requestId"]?.string?.isEmpty == false, "\(action)")
            case "enrollment_token":
                #expect(action == "device.enroll")
                #expect(row["address"]?.string == "127.0.0.1")
            case "admin", "operator": #expect(row["address"] == nil)
            case "agent": #expect(["tool_call.decide", "run.start"].contains(action))
            default: Issue.record("\(row.rawJSON.string)")
            }
        }
        for secret in secrets + [tenant.key] { #expect(!log.text.contains(String(secret.dropFirst(17)))) }
        // One row a change: a rotation is not told twice.
        #expect(rows.filter { $0["action"]?.string == "key.rotate" }.count == 1)
        #expect(rows.filter { $0["action"]?.string == "agent_version.publish" }.count == 6)
    }

    @Test func `what changes nothing leaves no row`() async throws {
        let tenant = try await TestTenant.make()
        let id = unknownID()
        for (method, path, body) in [
            ("POST", "/api/agents", #"{"name":""}"#), ("DELETE", "/api/agents/\(id)", nil), ("DELETE", "/api/keys/\(id)", nil),
            ("POST", "/api/keys/\(id)/rotate", nil), ("POST", "/api/keys", #"{"name":"x","scopes":[]}"#),
            ("PATCH", "/api/devices/\(id)", #"{"labels":{}}"#), ("DELETE", "/api/devices/\(id)", nil),
            ("POST", "/api/runs/\(id)/cancel", nil),
        ] as [(String, String, String?)] {
            #expect(try await tenant.send(method, path, body).status >= 400)
        }
        let rows = try await tenant.send("GET", "/api/audit").json()["data"]?.elements.compactMap { $0["action"]?.string }
        #expect(rows == ["key.create", "tenant.create"])
    }

    @Test func `the log is filtered and read page by page, without a hole or a repeat`() async throws {
        let tenant = try await TestTenant.make()
        let stranger = try await TestTenant.make()
        _ = try await stranger.client.agents.create(name: "theirs")
        var made: [String] = []
        for index in 1...7 { made.append(try await tenant.client.agents.create(name: "agent-\(index)").agentId) }
        var seen: [String] = []
        var cursor: String?
        repeat {
            let page = try await tenant.send(
                "GET", "/api/audit?action=agent.create&limit=3" + (cursor.map { "&cursor=\($0)" } ?? "")
            ).json()
            seen += page["data"]?.elements.compactMap { $0["target"]?["id"]?.string } ?? []
            cursor = page["nextCursor"]?.string
        } while cursor != nil
        #expect(seen == made.reversed())
        #expect(try await tenant.send("GET", "/api/audit?target=\(made[0])").json()["data"]?.count == 1)
        let row = try #require(try await tenant.send("GET", "/api/audit?target=\(made[0])").data().first)
        let actor = try #require(row["actor"]?["id"]?.string)
        #expect(try await tenant.send("GET", "/api/audit?actor=\(actor)").json()["data"]?.count == 7)
        #expect(try await tenant.send("GET", "/api/audit?from=2999-01-01T00:00:00Z").json()["data"]?.count == 0)
        #expect(try await tenant.send("GET", "/api/audit?to=2020-01-01T00:00:00Z").json()["data"]?.count == 0)
        for query in ["action=agent.explode", "cursor=x", "cursor=1_x", "from=now", "who=me", "tenantId=\(stranger.scope.tenantID)"] {
            try await tenant.send("GET", "/api/audit?\(query)").expectProblem(400, "invalid_query")
        }
        // Admins see all tenants, and from where.
        let (admin, _) = try await AdminTests.admin()
        for scope in [tenant.scope, stranger.scope] {
            let rows = try await admin.send("GET", "/api/admin/audit?tenantId=\(scope.tenantID)&action=agent.create").json()["data"]
            #expect(rows?.count == (scope == tenant.scope ? 7 : 1))
            #expect(rows?.elements.allSatisfy { $0["tenantId"]?.string == scope.tenantID.description } == true)
        }
        let all = try await admin.send("GET", "/api/admin/audit?limit=200").json()["data"]?.elements.compactMap { $0["tenantId"]?.string }
        #expect(Set(all ?? []).count > 1)
    }
}
