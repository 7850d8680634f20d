import Domain
import JSON
import Testing

/// Thousands of lives of a run, each by its seed.
struct RunPropertyTests {
    @Test(arguments: 0..<8)
    func `whatever happens in whatever order, the log stays whole and every run ends`(part: UInt64) throws {
        for seed in part * 500..<(part + 1) * 500 {
            do { try live(seed) } catch {
                Issue.record("seed \(seed): \(error)")
                return
            }
        }
    }

    private func live(_ seed: UInt64) throws {
        var simulation = try RunSimulation(seed: seed)
        for _ in 0..<Int(10 + seed % 60) where !simulation.status.isTerminal { try simulation.happen() }
        if seed % 3 == 0 { try check(simulation, seed) }
        try simulation.end()
        try check(simulation, seed)
        // Nothing can be decided about a run that has ended.
        let state = simulation.state
        #expect(RunMachine.requestCancel(state, reason: nil) == nil)
        #expect(RunMachine.handBack(state) == nil)
        for call in state.calls {
            #expect(RunMachine.record(.expired, of: call.call.callID, in: state) == nil)
            #expect(RunMachine.dispatch(call.call.callID, to: .generate(), in: state) == nil)
            #expect(RunMachine.approve(call.call.callID, by: "key:k", in: state) == nil)
            #expect(RunMachine.denyApproval(call.call.callID, message: "no", in: state) == nil)
            #expect(RunMachine.expire(call.call.callID, in: state) == nil)
        }
        let end = try #require(simulation.log.last)
        #expect(end.type.isTerminal)
    }

    private func check(_ simulation: RunSimulation, _ seed: UInt64) throws {
        let log = simulation.log
        var replayed = RunState()
        var withoutDeltas = RunState()
        var outcomes: [String: Int] = [:]
        var requests: [String: Int] = [:]
        for (index, event) in log.enumerated() {
            guard event.seq == Int64(index + 1) else { throw RunSimulation.Broken(description: "seq \(event.seq) stands at \(index)") }
            if event.type.isTerminal, index + 1 < log.count {
                throw RunSimulation.Broken(description: "\(event.type.rawValue) is not the last event")
            }
            try replayed.apply(event)
            if !event.type.isDelta { try withoutDeltas.apply(event) }
            switch event.type {
            case .toolResultReceived, .toolCallExpired, .toolCallDenied, .toolCallCanceled:
                outcomes[try callID(event), default: 0] += 1
            case .toolCallRequested: requests[try callID(event), default: 0] += 1
            default: break
            }
        }
        withoutDeltas.skip(to: Int64(log.count))
        guard replayed == simulation.state else { throw RunSimulation.Broken(description: "the replay differs from the incremental fold") }
        guard withoutDeltas == replayed else { throw RunSimulation.Broken(description: "the fold without deltas differs") }
        guard outcomes.values.allSatisfy({ $0 == 1 }) else { throw RunSimulation.Broken(description: "a call has two outcomes") }
        guard requests.values.allSatisfy({ $0 == 1 }) else { throw RunSimulation.Broken(description: "a call was requested twice") }
        if replayed.status.isTerminal, let open = requests.keys.first(where: { outcomes[$0] == nil }) {
            throw RunSimulation.Broken(description: "call \(open) was requested and has no outcome")
        }
    }

    private func callID(_ event: RunEvent) throws -> String { try #require(try event.data.document().root["callId"]?.string) }
}
