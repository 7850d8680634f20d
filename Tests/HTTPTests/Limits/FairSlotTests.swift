import HsafaClient
import JSON
import TestSupport
import Testing

/// One process' slots between two tenants.
@Suite(.timeLimit(.minutes(5)))
struct FairSlotTests {
    @Test(arguments: [2, 8, 20])
    func `a tenant whose long runs fill a process leaves room for another's`(_ slots: Int) async throws {
        let gateway = try await TestGateway.running(in: try await .fresh(), maxConcurrentRuns: slots)
        let noisy = try await TestTenant.make(on: gateway)
        let slow = #"{"deltas":{"count":10,"text":"x"},"initialDelayMilliseconds":60000,"delayMilliseconds":60000}"#
        let agent = try await noisy.agent(steps: [slow])
        for _ in 0..<slots * 2 { _ = try await noisy.client.runs.create(agent: .id(agent.agentId), messages: [.user("Hi")]) }
        let reserve = max(1, slots / 8)
        #expect(await eventually { gateway.metric("hsafa_runs_active") == slots - reserve })
        let quiet = try await TestTenant.make(on: gateway)
        for _ in 0..<3 {
            let run = try await quiet.run("quiet-\(unknownID())", steps: [Config.says])
            #expect(try await quiet.events(run).last?.type == "run.completed")
        }
        #expect(gateway.metric("hsafa_runs_active") >= slots - reserve)
    }
}
