import Domain
import HsafaClient
import JSON
import Storage
import TestSupport
import Testing

/// The real binary dies while a run waits for one that its call started.
@Suite(.serialized) struct ChildCrashTests {
    private func expectOneChild(_ run: String, _ client: HsafaClient) async throws {
        let events = try await client.runs.events(run, after: 0, limit: 1000).items
        #expect(events.map(\.seq) == Array(1...events.count))
        #expect(events.filter { $0.type == "tool.call.dispatched" }.count == 1, "the call started one run")
        #expect(events.filter { $0.type == "tool.result.received" }.count == 1)
        #expect(events.last?.type == "run.completed")
        #expect(try await client.runs.list(parentRunId: run).items.count == 1)
    }

    @Test func `a gateway that is killed as soon as a run was started, and in the middle of it, loses neither`() async throws {
        let environment = try await TestEnvironment.fresh()
        let key = try await environment.makeKey(try await environment.makeTenant())
        let gateway = try GatewayProcess(environment)
        try await gateway.start()
        try await gateway.withClient(key: key) { client in
            _ = try await client.agents.create(name: "child", config: Scripts.streaming(name: "child", words: 100))
            _ = try await client.agents.create(name: "parent", config: Scripts.agentTool(name: "parent", of: "child"))
            let run = try await client.runs.create(agent: .name("parent"), messages: [.user("go")])
            var child: String?
            for try await event in client.runs.stream(run.runId) where event.type == "tool.call.dispatched" && child == nil {
                child = try event.data.document().root["childRunId"]?.string
                gateway.kill9()
                try await gateway.start()
                break
            }
            for try await event in client.runs.stream(try #require(child)) where event.type == "assistant.delta" {
                gateway.kill9()
                try await gateway.start()
                break
            }
            for try await event in client.runs.stream(run.runId) where event.type == "tool.result.received" {
                #expect(event.data.string.contains("word word"))
            }
            try await expectOneChild(run.runId, client)
        }
        #expect(gateway.terminate() == 0)
    }

    @Test func `an end that was written while no gateway lived is told by the next`() async throws {
        let environment = try await TestEnvironment.fresh()
        let scope = try await environment.makeTenant()
        let key = try await environment.makeKey(scope)
        let gateway = try GatewayProcess(environment)
        try await gateway.start()
        try await gateway.withClient(key: key) { client in
            _ = try await client.agents.create(name: "child", config: Scripts.deviceTool(name: "child"))
            _ = try await client.agents.create(name: "parent", config: Scripts.agentTool(name: "parent", of: "child"))
            let run = try await client.runs.create(agent: .name("parent"), messages: [.user("go")]).runId
            #expect(try await eventually { try await client.runs.get(run).status == "waiting_tool" })
            let child = try #require(try await client.runs.list(parentRunId: run).items.first).runId
            #expect(try await eventually { try await client.runs.get(child).status == "waiting_tool" })
            gateway.kill9()
            let (database, id) = (environment.database.tenant(scope), try #require(RunID(child)))
            let state = try #require(try await database.fold(id))
            let end = RunMachine.failed(state, code: "gone", message: "It died alone.")
            let answer = try await database.transition(end, of: id, after: state.lastSeq, claim: nil, at: .now())
            #expect(answer.verdict == .applied)
            try await gateway.start()
            for try await event in client.runs.stream(run) where event.type == "tool.result.received" {
                #expect(event.data.string.contains("It died alone."))
            }
            try await expectOneChild(run, client)
        }
        #expect(gateway.terminate() == 0)
    }
}
