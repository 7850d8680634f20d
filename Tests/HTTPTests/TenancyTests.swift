import HsafaClient
import JSON
import Testing

@testable import GatewayHTTP

/// Another tenant's things are not there.
struct TenancyTests {
    /// Something of each kind.
    private struct Things {
        let agent: String
        let version: String
        let run: String
        let call: String
        let device: String
        let key: String

        init(_ tenant: TestTenant) async throws {
            device = try await tenant.device().id
            key = try #require(try await tenant.send("GET", "/api/keys").data().first?["keyId"]?.string)
            run = try await tenant.run(steps: [Config.calls("ask")], tools: [Config.browser("ask")])
            call = try #require(try await tenant.pendingCalls(run).first?["callId"]?.string)
            let snapshot = try await tenant.snapshot(run)
            agent = try #require(snapshot["agentId"]?.string)
            version = try #require(snapshot["agentVersionId"]?.string)
        }

        func path(_ template: String) throws -> String {
            try template.split(separator: "/").map { part in
                switch part {
                case "{agentId}": return "/\(agent)"
                case "{versionId}": return "/\(version)"
                case "{runId}": return "/\(run)"
                case "{keyId}": return "/\(key)"
                case "{deviceId}": return "/\(device)"
                default:
                    try #require(!part.hasPrefix("{"), "no thing for \(part)")
                    return "/\(part)"
                }
            }.joined()
        }
    }

    @Test func `every operation on a thing answers another tenant as if it were not there`() async throws {
        let things = try await Things(try await TestTenant.make())
        let stranger = try await TestTenant.make()
        let headers = [("X-Request-Id", "same")]
        for route in RouteTable.all where route.path.contains("{") && route.scope != nil {
            for body in [nil, #"{"callId":"\#(things.call)","result":1}"#, #"{"description":"mine","displayName":"mine"}"#] {
                let theirs = try await stranger.send("\(route.method)", try things.path(route.path), body, headers: headers)
                let nobodys = try await stranger.send("\(route.method)", route.path(with: unknownID()), body, headers: headers)
                #expect(theirs.status == 404, "\(route.operationID): \(theirs.text)")
                #expect(theirs.text == nobodys.text, "\(route.operationID)")
            }
        }
    }

    @Test func `a body cannot name another tenant's things`() async throws {
        let owner = try await TestTenant.make()
        let things = try await Things(owner)
        _ = try await owner.send("POST", "/api/runs/\(things.run)/cancel")
        let stranger = try await TestTenant.make()
        let agent = try await stranger.agent("mine", steps: [Config.says])
        let hi = RunTests.hi
        try await stranger.send("POST", "/api/runs", #"{"agentId":"\#(things.agent)",\#(hi)}"#).expectProblem(404, "agent_not_found")
        try await stranger.send("POST", "/api/runs", #"{"agentName":"tester",\#(hi)}"#).expectProblem(404, "agent_not_found")
        try await stranger.send("POST", "/api/runs", #"{"agentName":"mine","agentVersionId":"\#(things.version)",\#(hi)}"#)
            .expectProblem(404, "agent_version_not_found")
        try await stranger.send("POST", "/api/runs", #"{"agentName":"mine","previousRunId":"\#(things.run)",\#(hi)}"#)
            .expectProblem(404, "previous_run_not_found")
        try await stranger.send("PATCH", "/api/agents/\(agent.agentId)", #"{"currentVersionId":"\#(things.version)"}"#)
            .expectProblem(422, "invalid_body")
        // A run of one's own does not open the call of another.
        let run = try await stranger.run("asks", steps: [Config.calls("ask")], tools: [Config.browser("ask")])
        _ = try await stranger.pendingCalls(run)
        try await stranger.answer(run, things.call).expectProblem(404, "tool_call_not_found")
    }

    @Test func `lists hold one's own things only, also behind another's cursor`() async throws {
        let things = try await Things(try await TestTenant.make())
        let stranger = try await TestTenant.make()
        for (list, id) in [("agents", things.agent), ("runs", things.run), ("devices", things.device)] {
            #expect(try await stranger.send("GET", "/api/\(list)").json()["data"]?.count == 0)
            #expect(try await stranger.send("GET", "/api/\(list)?cursor=\(id)").json()["data"]?.count == 0)
        }
        #expect(try await stranger.send("GET", "/api/runs?agentId=\(things.agent)").json()["data"]?.count == 0)
    }
}
