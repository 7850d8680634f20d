import Domain
import JSON

extension RunSimulation {
    /// One random event of the world. Facts from outside are decided on a fold of their own.
    mutating func happen() throws {
        switch Int.random(in: 0..<26, using: &generator) {
        case 0..<11:
            if workers.isEmpty {
                try claim()
            } else {
                try work(Int.random(in: workers.indices, using: &generator))
            }
        case 11..<15:
            // Also calls of steps long past, and a second answer to the same call.
            guard let call = asked.randomElement(using: &generator), call.target != .server else { return }
            let outcome: ToolOutcome =
                switch Int.random(in: 0..<5, using: &generator) {
                case 0: .expired
                case 1: .denied(reason: "approval_expired", message: "m")
                case 2: .failed(ToolError(code: "c", message: "m"), source: .browser)
                default: .result(RawJSON("[1]"), source: .browser)
                }
            if let decision = RunMachine.record(outcome, of: call.id, in: state) { try write(decision, claim: 0) }
        case 15:
            guard let call = asked.randomElement(using: &generator) else { return }
            if let decision = RunMachine.dispatch(call.id, to: .generate(), in: state) { try write(decision, claim: 0) }
        case 16:
            if !workers.isEmpty, generator.oneIn(2) {
                try transition(workers.count - 1) { state, _ in RunMachine.handBack(state) }
            }
        case 17:
            // A crash: the worker is gone, and its lease runs out.
            if !workers.isEmpty, generator.oneIn(2) { workers.remove(at: Int.random(in: workers.indices, using: &generator)) }
        case 18:
            // The lease ran out while the worker still believes in it.
            if status == .running, generator.oneIn(2) { try claim() }
        case 19..<22:
            // A person, or the clock; also about calls that nobody is asked of, and twice.
            guard let call = asked.randomElement(using: &generator) else { return }
            let decision =
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: RunMachine.denyApproval(call.id, message: "no", in: state)
                case 1 where state.call(call.id)?.isAwaitingApproval == true: RunMachine.expire(call.id, in: state)
                default: RunMachine.approve(call.id, by: "key:k", in: state)
                }
            if let decision { try write(decision, claim: 0) }
        case 22..<25:
            // A timer, or a system that takes its call; also calls that have neither, and twice.
            guard let call = asked.randomElement(using: &generator) else { return }
            let request = ApprovalRequest(expiresSeconds: 60, rules: ["late"], now: LogBuilder.time)
            let fired = ToolOutcome.result(.emptyObject, source: .server)
            let decision =
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: RunMachine.accept(call.id, attempt: 1, in: state)
                case 1 where state.call(call.id)?.isDelivered == true: RunMachine.requireApproval(request, of: call.id, in: state)
                default: state.call(call.id)?.dueAt == nil ? nil : RunMachine.record(fired, of: call.id, in: state)
                }
            if let decision { try write(decision, claim: 0) }
        default:
            guard generator.oneIn(4) else { return }
            if let decision = RunMachine.requestCancel(state, reason: "enough") { try write(decision, claim: 0) }
        }
    }

    /// Fair weather from here on: every run comes to its end.
    mutating func end() throws {
        for _ in 0..<400 {
            if status.isTerminal { return }
            if status == .waitingTool {
                guard let call = state.openCalls.first,
                    let decision = call.isAwaitingApproval
                        ? generator.oneIn(2)
                            ? RunMachine.approve(call.call.callID, by: "key:k", in: state) : RunMachine.expire(call.call.callID, in: state)
                        : RunMachine.record(.result(.null, source: .browser), of: call.call.callID, in: state)
                else { throw Broken(description: "it waits for a call that takes no outcome") }
                try write(decision, claim: 0)
            } else if let index = workers.indices.last {
                try work(index)
            } else {
                try claim()
            }
        }
        throw Broken(description: "the run does not end; log: \(log.map(\.type.rawValue).joined(separator: " "))")
    }
}
