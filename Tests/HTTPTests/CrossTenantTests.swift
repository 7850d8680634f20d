import Domain
import HsafaClient
import JSON
import NIOHTTP1
import Postgres
import Storage
import TestSupport
import Testing

@testable import GatewayHTTP

/// Another tenant's things are not there: the same answer as for what never was, and nothing of theirs changes. Driven by the route
/// table, so that a new route without an entry here fails.
struct CrossTenantTests {
    /// Bodies that would be right if the thing were one's own, by operation. An operation without a body says so by an empty list.
    private static let bodies: [String: @Sendable (TenantThings) -> [String]] = [
        "getAgent": { _ in [] }, "deleteAgent": { _ in [] }, "listAgentVersions": { _ in [] }, "getAgentVersion": { _ in [] },
        "updateAgent": { [#"{"description":"mine now"}"#, #"{"currentVersionId":"\#($0["versionId"])"}"#] },
        "publishAgentVersion": { _ in [#"{"config":\#(Config.text("stolen", steps: [Config.says]))}"#] },
        "getRun": { _ in [] }, "listRunEvents": { _ in [] }, "streamRun": { _ in [] }, "listToolCalls": { _ in [] },
        "cancelRun": { _ in ["{}", #"{"reason":"mine now"}"#] }, "createRunToken": { _ in ["{}", #"{"grants":["tools"]}"#] },
        "submitToolResult": {
            [#"{"callId":"\#($0["callId"])","result":1}"#, #"{"callId":"\#($0["callId"])","error":{"code":"a","message":"b"}}"#]
        },
        "approveCall": { _ in ["{}", #"{"callHash":"mine"}"#] }, "denyCall": { _ in ["{}", #"{"reason":"mine now"}"#] },
        "getDevice": { _ in [] }, "revokeDevice": { _ in [] }, "approveDevice": { _ in [] }, "listDeviceSessions": { _ in [] },
        "getKey": { _ in [] }, "revokeKey": { _ in [] }, "rotateKey": { _ in ["{}", #"{"overlapSeconds":0}"#] },
        "deleteSecret": { _ in [] }, "deletePolicy": { _ in [] }, "listRunTokens": { _ in [] }, "revokeRunToken": { _ in [] },
        "updateDevice": { _ in [#"{"displayName":"mine now"}"#, #"{"labels":{"zone":"mine"}}"#] },
    ]

    /// Names that each tenant gives for itself: to put something under another's name is to make one of one's own.
    static let ownNames: Set<String> = ["putSecret", "putPolicy"]

    /// Ways to ask that must not make a difference.
    private static let queries: [String: [String]] = [
        "getRun": ["?include=messages"], "listRunEvents": ["?after=0&limit=1"], "streamRun": ["?since=1-0", "?since=999"],
    ]

    /// What the suite did, said once a run.
    private struct Counts {
        var operations = 0
        var kinds: Set<String> = []
        /// Operations with a choice of foreign ids.
        var pairs = 0
        var attempts = 0

        func report(_ what: String) {
            print("cross-tenant: \(what): \(operations) operations × ids of \(kinds.sorted()) = \(pairs) pairs, \(attempts) attempts")
        }
    }

    @Test func `every operation on a thing answers another tenant as if it were not there, and changes nothing`() async throws {
        let owner = try await TestTenant.make()
        let things = try await TenantThings.make(owner)
        let stranger = try await TestTenant.make()
        let own = try await TenantThings.make(stranger)
        let before = try await owner.gateway.environment.fingerprint(of: owner)
        #expect(before.count > 10 && before.values.contains { !$0.hasPrefix("0 rows") })
        var counts = Counts()
        for route in RouteTable.all
        where route.path.contains("{") && route.scope != nil && !Self.ownNames.contains(route.operationID) {
            let kinds = TenantThings.parameters(route.path)
            guard let bodies = Self.bodies[route.operationID], kinds.allSatisfy({ things.ids[$0] != nil }) else {
                Issue.record("\(route.operationID) \(route.path) has no entry in the cross-tenant suite")
                continue
            }
            counts.operations += 1
            counts.kinds.formUnion(kinds)
            // Each of the ids may be the foreign one, the others one's own.
            for foreign in 1..<(1 << kinds.count) {
                counts.pairs += 1
                func path(_ id: (String) -> String?) throws -> String {
                    try #require(
                        TenantThings.path(route.path) { kind in
                            guard let index = kinds.firstIndex(of: kind) else { return nil }
                            return foreign >> index & 1 == 1 ? id(kind) : own.ids[kind]
                        })
                }
                let theirs = try path { things.ids[$0] }
                let nobodys = try path { _ in unknownID() }
                for body in [nil] + bodies(things) {
                    for query in [""] + (Self.queries[route.operationID] ?? []) {
                        let headers = [("X-Request-Id", "same")]
                        let answer = try await stranger.send("\(route.method)", theirs + query, body, headers: headers)
                        let same = try await stranger.send("\(route.method)", nobodys + query, body, headers: headers)
                        #expect(answer.status == 404, "\(route.operationID): \(answer.text)")
                        #expect(SeenAnswer(answer) == SeenAnswer(same), "\(route.operationID) \(theirs)")
                        counts.attempts += 1
                    }
                }
            }
        }
        counts.report("tenants' operations on another tenant's ids")
        // From the table alone: each operation with each choice of foreign ids, at least without a body and without a query.
        let routes = RouteTable.all.filter { $0.path.contains("{") && $0.scope != nil && !Self.ownNames.contains($0.operationID) }
        #expect(counts.operations == routes.count)
        #expect(counts.pairs == routes.reduce(0) { $0 + (1 << TenantThings.parameters($1.path).count) - 1 })
        #expect(
            counts.attempts
                == routes.reduce(0) { sum, route in
                    let choices = (1 << TenantThings.parameters(route.path).count) - 1
                    let bodies = 1 + (Self.bodies[route.operationID]?(things).count ?? 0)
                    return sum + choices * bodies * (1 + (Self.queries[route.operationID]?.count ?? 0))
                })
        #expect(try await owner.gateway.environment.fingerprint(of: owner) == before)
        // And the owner still finds it all.
        #expect(try await owner.snapshot(things["runId"])["status"]?.string == "waiting_tool")
    }

    @Test func `admins' operations are closed to every tenant's key, whichever tenant they name`() async throws {
        let owner = try await TestTenant.make()
        let things = try await TenantThings.make(owner)
        let stranger = try await TestTenant.make()
        let before = try await owner.gateway.environment.fingerprint(of: owner)
        let routes = RouteTable.all.filter { $0.requirement == .admin }
        let bodies = [nil, "{}", #"{"name":"mine now"}"#, #"{"name":"mine","scopes":["runs:read"]}"#, #"{"slug":"mine","reason":"mine"}"#]
        var attempts = 0
        for route in routes {
            let theirs = try #require(TenantThings.path(route.path) { things.ids[$0] }, "no thing for \(route.path)")
            for tenant in [stranger, owner] {
                for body in bodies {
                    let answer = try await tenant.send("\(route.method)", theirs, body, headers: [("X-Request-Id", "same")])
                    let same = try await tenant.send(
                        "\(route.method)", route.path(with: unknownID()), body, headers: [("X-Request-Id", "same")])
                    #expect(answer.status == 403, "\(route.operationID): \(answer.text)")
                    #expect(SeenAnswer(answer) == SeenAnswer(same), "\(route.operationID)")
                    attempts += 1
                }
            }
        }
        print("cross-tenant: admins' operations with tenants' keys: \(routes.count) operations, \(attempts) attempts")
        #expect(attempts == routes.count * 2 * bodies.count)
        #expect(try await owner.gateway.environment.fingerprint(of: owner) == before)
    }

    @Test func `a body cannot name another tenant's things`() async throws {
        let owner = try await TestTenant.make()
        let things = try await TenantThings.make(owner)
        _ = try await owner.send("POST", "/api/runs/\(things["runId"])/cancel")
        let stranger = try await TestTenant.make()
        let agent = try await stranger.agent("mine", steps: [Config.says])
        let before = try await owner.gateway.environment.fingerprint(of: owner)
        let hi = RunTests.hi
        try await stranger.send("POST", "/api/runs", #"{"agentId":"\#(things["agentId"])",\#(hi)}"#).expectProblem(404, "agent_not_found")
        try await stranger.send("POST", "/api/runs", #"{"agentName":"tester",\#(hi)}"#).expectProblem(404, "agent_not_found")
        try await stranger.send("POST", "/api/runs", #"{"agentName":"mine","agentVersionId":"\#(things["versionId"])",\#(hi)}"#)
            .expectProblem(404, "agent_version_not_found")
        try await stranger.send("POST", "/api/runs", #"{"agentName":"mine","previousRunId":"\#(things["runId"])",\#(hi)}"#)
            .expectProblem(404, "previous_run_not_found")
        try await stranger.send("PATCH", "/api/agents/\(agent.agentId)", #"{"currentVersionId":"\#(things["versionId"])"}"#)
            .expectProblem(422, "invalid_body")
        // A run of one's own does not open the call of another.
        let run = try await stranger.run("asks", steps: [Config.calls("ask")], tools: [Config.browser("ask")])
        _ = try await stranger.pendingCalls(run)
        try await stranger.answer(run, things["callId"]).expectProblem(404, "tool_call_not_found")
        #expect(try await owner.gateway.environment.fingerprint(of: owner) == before)
    }

    @Test func `lists hold one's own things only, also behind another's cursor and filter`() async throws {
        let owner = try await TestTenant.make()
        let things = try await TenantThings.make(owner)
        let stranger = try await TestTenant.make()
        // Every list without an id in its path, and the kinds whose ids may be tried as its cursor.
        let lists = RouteTable.all.filter {
            "\($0.method)" == "GET" && $0.operationID.hasPrefix("list") && !$0.path.contains("{") && $0.scope != nil
        }
        #expect(lists.count >= 3)
        for route in lists {
            for query in [""] + things.ids.values.map({ "?cursor=\($0)" }) {
                let answer = try await stranger.send("GET", route.path + query)
                guard answer.status != 400 else { continue }
                #expect(answer.status == 200, "\(route.path)\(query): \(answer.text)")
                for (kind, id) in things.ids { #expect(!answer.text.contains(id), "\(route.path)\(query) shows the \(kind)") }
            }
        }
        // A page's own cursor, in another tenant's hands, leads nowhere.
        for route in lists {
            guard let cursor = try await owner.send("GET", route.path + "?limit=1").json()["nextCursor"]?.string else { continue }
            let answer = try await stranger.send("GET", "\(route.path)?cursor=\(cursor)")
            for (kind, id) in things.ids { #expect(!answer.text.contains(id), "\(route.path) shows the \(kind) behind a cursor") }
        }
        #expect(try await stranger.send("GET", "/api/runs?agentId=\(things["agentId"])").json()["data"]?.count == 0)
    }

    @Test func `lists of one's own thing show nothing behind another's cursor`() async throws {
        let owner = try await TestTenant.make()
        let things = try await TenantThings.make(owner)
        let stranger = try await TestTenant.make()
        let own = try await TenantThings.make(stranger)
        let lists = RouteTable.all.filter {
            "\($0.method)" == "GET" && $0.operationID.hasPrefix("list") && $0.path.contains("{") && $0.scope != nil
        }
        #expect(lists.map(\.operationID).contains("listRunEvents"))
        for route in lists {
            // The owner's own next page, and each of the owner's ids.
            let owners = try #require(TenantThings.path(route.path) { things.ids[$0] })
            let page = try await owner.send("GET", owners + (route.operationID == "listToolCalls" ? "" : "?limit=1")).json()
            let cursors = things.ids.values + [page["nextCursor"]?.string].compactMap { $0 }
            let path = try #require(TenantThings.path(route.path) { own.ids[$0] })
            for cursor in cursors {
                let answer = try await stranger.send("GET", "\(path)?cursor=\(cursor)")
                #expect([200, 400].contains(answer.status), "\(route.operationID): \(answer.text)")
                // A refusal may repeat what was sent to it, a page may not show it.
                guard answer.status == 200 else { continue }
                for (kind, id) in things.ids { #expect(!answer.text.contains(id), "\(route.operationID)?cursor shows the \(kind)") }
            }
        }
    }

    @Test func `usage and the audit log show nothing of another's, behind cursors and filters`() async throws {
        let owner = try await TestTenant.make()
        let things = try await TenantThings.make(owner)
        _ = try await owner.events(try await owner.run("used", steps: [#"{"text":"x","usage":{"inputTokens":7,"outputTokens":1}}"#]))
        let stranger = try await TestTenant.make()
        // A second row, so that the first page has a cursor.
        _ = try await owner.gateway.environment.owner.query(
            """
            INSERT INTO hsafa.usage_daily (tenant_id, day, model, stripe, input_tokens, output_tokens, model_calls)
            VALUES (\(owner.scope.tenantID), current_date, 'owners-model', 0::smallint, 1, 2, 1)
            """, scope: owner.scope.tenantID.description, lane: .slow)
        let usage = try await owner.send("GET", "/api/usage?limit=1").json()
        #expect(usage["data"]?.count == 1)
        let cursor = try #require(usage["nextCursor"]?.string)
        for query in ["", "?cursor=\(cursor)", "?limit=1&cursor=\(cursor)"] {
            #expect(try await stranger.send("GET", "/api/usage\(query)").json()["data"]?.count == 0, "\(query)")
        }
        let log = try await owner.send("GET", "/api/audit").data()
        // An operator's account is the same word for every tenant.
        let actors = Set(log.compactMap { $0["actor"]?["kind"]?.string == "key" ? $0["actor"]?["id"]?.string : nil })
        #expect(!actors.isEmpty)
        let ids = actors.union(things.ids.values)
        for id in ids {
            for filter in ["actor", "target", "cursor"] {
                let answer = try await stranger.send("GET", "/api/audit?\(filter)=\(id)")
                guard answer.status != 400 else { continue }
                #expect(answer.status == 200, "\(answer.text)")
                for other in ids { #expect(!answer.text.contains(other), "audit shows \(other) by \(filter)") }
            }
        }
        #expect(try await owner.send("GET", "/api/audit?actor=\(try #require(actors.first))").json()["data"]?.count ?? 0 > 0)
    }

    @Test func `an admin's operation on one tenant's key does not reach it by another tenant's path`() async throws {
        let owner = try await TestTenant.make()
        let things = try await TenantThings.make(owner)
        let other = try await TestTenant.make()
        let (admin, _) = try await AdminTests.admin(owner.gateway)
        let before = try await owner.gateway.environment.fingerprint(of: owner)
        let routes = RouteTable.all.filter { $0.requirement == .admin && $0.path.contains("{keyId}") }
        #expect(!routes.isEmpty)
        for route in routes {
            func path(_ key: String) throws -> String {
                try #require(TenantThings.path(route.path) { $0 == "keyId" ? key : other.scope.tenantID.description })
            }
            for body in [nil, "{}", #"{"overlapSeconds":0}"#] {
                let headers = [("X-Request-Id", "same")]
                let answer = try await admin.send("\(route.method)", try path(things["keyId"]), body, headers: headers)
                let same = try await admin.send("\(route.method)", try path(unknownID()), body, headers: headers)
                #expect(answer.status == 404, "\(route.operationID): \(answer.text)")
                #expect(SeenAnswer(answer) == SeenAnswer(same), "\(route.operationID)")
            }
        }
        #expect(try await owner.gateway.environment.fingerprint(of: owner) == before)
        #expect(try await owner.send("GET", "/api/agents").status == 200)
    }

    @Test func `a device cannot register as another tenant's, nor by the key of its own`() async throws {
        let owner = try await TestTenant.make()
        let victim = try await owner.device()
        let thief = try await TestTenant.make().device()
        for id in [victim.id, unknownID()] {
            try await RawSocket.open(owner.gateway) { socket async throws in
                try await socket.register(TestDevice(id: id, key: thief.key))
                #expect(try await socket.next("error")["code"]?.string == "unauthorized")
                #expect(try await socket.closing() == 4401)
            }
        }
        #expect(try await owner.send("GET", "/api/devices/\(victim.id)/sessions").json()["data"]?.count == 0)
        try await victim.connected(owner.gateway) { _ in }
    }
}
