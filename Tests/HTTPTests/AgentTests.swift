import Domain
import HsafaClient
import JSON
import Testing

struct AgentTests {
    @Test func `an agent is created with its first version, found, and listed`() async throws {
        let tenant = try await TestTenant.make()
        let config = Config.text("helper", steps: [Config.says])
        let created = try await tenant.send(
            "POST", "/api/agents", #"{"name":"helper","description":"Helps","config":\#(config),"version":"v1"}"#)
        #expect(created.status == 201)
        let id = try created.string("agentId")
        #expect(created.header("Location") == "/api/agents/\(id)")
        let agent = try await tenant.send("GET", "/api/agents/\(id)").json()
        #expect(agent["name"]?.string == "helper")
        #expect(agent["description"]?.string == "Helps")
        let versionID = try #require(agent["currentVersionId"]?.string)
        let version = try await tenant.send("GET", "/api/agents/\(id)/versions/\(versionID)").json()
        #expect(version["version"]?.string == "v1")
        #expect(version["agentId"]?.string == id)
        let sent = try JSONDocument(parsing: Array(config.utf8)).root
        #expect(try version["config"]?.canonical() == sent.canonical())
        #expect(try version["configHash"]?.string == AgentConfig.hash(of: sent))
        #expect(try await tenant.client.agents.list().items.map(\.agentId) == [id])
        // Lists leave the config out, which may be large.
        let listed = try await tenant.send("GET", "/api/agents/\(id)/versions").json()["data"]
        #expect(listed?.count == 1)
        #expect(listed?[0]?["config"] == nil)
    }

    @Test func `a name that is taken is 409, and free again after DELETE`() async throws {
        let tenant = try await TestTenant.make()
        let agent = try await tenant.agent("taken", steps: [Config.says])
        try await tenant.send("POST", "/api/agents", #"{"name":"taken"}"#).expectProblem(409, "agent_exists")
        #expect(try await tenant.send("DELETE", "/api/agents/\(agent.agentId)").status == 204)
        try await tenant.send("GET", "/api/agents/\(agent.agentId)").expectProblem(404, "agent_not_found")
        try await tenant.send("DELETE", "/api/agents/\(agent.agentId)").expectProblem(404, "agent_not_found")
        #expect(try await tenant.send("POST", "/api/agents", #"{"name":"taken"}"#).status == 201)
        // Another tenant's names are its own.
        #expect(try await TestTenant.make().send("POST", "/api/agents", #"{"name":"taken"}"#).status == 201)
    }

    @Test func `runs of a deleted agent stay`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(steps: [Config.says])
        _ = try await tenant.events(run)
        let agent = try #require(try await tenant.snapshot(run)["agentId"]?.string)
        #expect(try await tenant.send("DELETE", "/api/agents/\(agent)").status == 204)
        #expect(try await tenant.snapshot(run)["status"]?.string == "completed")
        try await tenant.send("POST", "/api/runs", #"{"agentName":"tester","initialMessages":[{"role":"user","content":"Hi"}]}"#)
            .expectProblem(404, "agent_not_found")
    }

    @Test func `publishing an equal config gives the version that exists, in whatever order its keys are`() async throws {
        let tenant = try await TestTenant.make()
        let agent = try await tenant.agent(steps: [Config.says])
        let path = "/api/agents/\(agent.agentId)/versions"
        let reordered =
            #"{"tools":[],"model":{"script":{"steps":[{"text":"\u0048ello."}]},"provider":"simulated"},"agent":{"name":"tester"},"version":"1.0"}"#
        let equal = try await tenant.send("POST", path, #"{"config": \#(reordered), "version":"other-label"}"#)
        #expect(equal.status == 200)
        #expect(try equal.string("versionId") == agent.currentVersionId)
        #expect(try equal.string("version") == "1")
        let other = try await tenant.send("POST", path, #"{"config":\#(Config.text("tester", steps: [Config.says, Config.says]))}"#)
        #expect(other.status == 201)
        #expect(try other.string("version") == "2")
        #expect(other.header("Location") == "\(path)/\(try other.string("versionId"))")
        #expect(try await tenant.client.agents.get(agent.agentId).currentVersionId == other.string("versionId"))
        // A roll-back is a publish.
        #expect(try await tenant.send("POST", path, #"{"config":\#(reordered)}"#).status == 200)
        #expect(try await tenant.client.agents.get(agent.agentId).currentVersionId == agent.currentVersionId)
    }

    @Test func `a label that another config has is 409, and a hash that is not the config's is 422`() async throws {
        let tenant = try await TestTenant.make()
        let agent = try await tenant.agent(steps: [Config.says])
        let path = "/api/agents/\(agent.agentId)/versions"
        let config = Config.text("tester", steps: [Config.tellsResult])
        try await tenant.send("POST", path, #"{"config":\#(config),"version":"1"}"#).expectProblem(409, "version_exists")
        let wrong = "sha256:" + String(repeating: "0", count: 64)
        let answer = try await tenant.send("POST", path, #"{"config":\#(config),"configHash":"\#(wrong)"}"#)
        try answer.expectProblem(422, "invalid_body")
        #expect(try answer.pointers() == ["/configHash"])
        let right = try AgentConfig.hash(of: JSONDocument(parsing: Array(config.utf8)).root)
        #expect(try await tenant.send("POST", path, #"{"config":\#(config),"configHash":"\#(right)"}"#).status == 201)
    }

    @Test func `PATCH changes the description and the current version, to one of its own`() async throws {
        let tenant = try await TestTenant.make()
        let agent = try await tenant.agent(steps: [Config.says])
        let first = try #require(agent.currentVersionId)
        let path = "/api/agents/\(agent.agentId)"
        let second = try await tenant.client.agents.publish(
            agent.agentId, config: Config.simulated("tester", steps: [Config.tellsResult])
        ).version.versionId
        let patched = try await tenant.send("PATCH", path, #"{"description":"Better","currentVersionId":"\#(first)"}"#)
        #expect(patched.status == 200)
        #expect(try patched.string("description") == "Better")
        #expect(try patched.string("currentVersionId") == first)
        let kept = try await tenant.send("PATCH", path, #"{"currentVersionId":"\#(second)"}"#)
        #expect(try kept.string("description") == "Better")
        #expect(try await tenant.send("PATCH", path, #"{"description":null}"#).json()["description"]?.isNull == true)
        let stranger = try #require(try await tenant.agent("stranger", steps: [Config.says]).currentVersionId)
        for id in [stranger, unknownID()] {
            let refused = try await tenant.send("PATCH", path, #"{"currentVersionId":"\#(id)"}"#)
            try refused.expectProblem(422, "invalid_body")
            #expect(try refused.pointers() == ["/currentVersionId"])
        }
        #expect(try await tenant.client.agents.get(agent.agentId).currentVersionId == second)
        try await tenant.send("PATCH", path, #"{"name":"other"}"#).expectProblem(422, "invalid_body")
    }

    @Test func `a tool that policy never allows is 422 with its pointer, and leaves nothing behind`() async throws {
        let tenant = try await TestTenant.make()
        let forbidden = #"{"name":"rm","target":"device","device":{"labels":{"zone":"lab"}}}"#
        let config = Config.text("tester", steps: [Config.says], tools: [Config.browser("ask"), forbidden])
        let answer = try await tenant.send("POST", "/api/agents", #"{"name":"tester","config":\#(config)}"#)
        try answer.expectProblem(422, "tool_denied_by_policy")
        #expect(try answer.pointers() == ["/config/tools/1"])
        #expect(try await tenant.client.agents.list().items.isEmpty)
    }

    @Test func `a config must carry its agent's name, and what is wrong in a script is pointed at`() async throws {
        let tenant = try await TestTenant.make()
        let bodies = [
            (Config.text("other", steps: []), "/config/agent/name"),
            (Config.text("tester", steps: [#"{"txt":"x"}"#]), "/config/model/script/steps/0/txt"),
            (Config.text("tester", steps: [], tools: [Config.echo, Config.echo]), "/config/tools/1/name"),
        ]
        for (config, pointer) in bodies {
            let answer = try await tenant.send("POST", "/api/agents", #"{"name":"tester","config":\#(config)}"#)
            try answer.expectProblem(422, "invalid_body")
            #expect(try answer.pointers() == [pointer])
        }
    }

    @Test func `versions are paged newest first`() async throws {
        let tenant = try await TestTenant.make()
        let agent = try await tenant.client.agents.create(name: "tester")
        #expect(agent.currentVersionId == nil)
        for index in 1...5 {
            let config = Config.simulated("tester", steps: [#"{"text":"\#(index)"}"#])
            #expect(try await tenant.client.agents.publish(agent.agentId, config: config).created)
        }
        var labels: [String] = []
        var cursor: String?
        repeat {
            let page = try await tenant.client.agents.versions(agent.agentId, limit: 2, cursor: cursor)
            labels += page.items.map(\.version)
            cursor = page.nextCursor
        } while cursor != nil
        #expect(labels == ["5", "4", "3", "2", "1"])
    }
}
