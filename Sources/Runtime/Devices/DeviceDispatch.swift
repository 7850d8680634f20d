import Domain
import JSON
import Logging
import Storage
import Synchronization

extension DeviceHub {
    /// Which device a call goes to. There is none without the gate's pass for that call and that device.
    private struct Assignment: Sendable {
        let pass: ToolPass
        let runID: RunID
        let deviceID: DeviceID
        let sessionID: DeviceSessionID
        let deadlineAt: Timestamp
        var callID: CallID { pass.callID }
    }

    /// One round of decisions about the waiting calls of a run.
    private struct Round: Sendable {
        var assignments: [CallID: Assignment] = [:]
        /// A call was refused, or waits for a person now: the others are looked at in another round.
        var isCut = false
        var counted: PolicyEffect?
    }

    /// Finds a device for each call that still waits, and sends what was decided once it is committed. A call for which nobody is
    /// online stays as it is: the registration of its device or the sweep comes back to it, or its deadline ends it.
    func dispatch(_ scope: TenantScope, _ calls: [CallID]) async {
        do {
            let candidates = try await database.tenant(scope).dispatchCandidates(calls, onlineSeconds: onlineSeconds)
            guard !candidates.isEmpty else { return }
            let rules = try await gate.rules(scope)
            let runs = Dictionary(grouping: candidates, by: \.runID)
            await withTaskGroup(of: Void.self) { group in
                for (runID, rows) in runs {
                    group.addTask {
                        do { try await self.dispatch(rules, runID, Dictionary(grouping: rows, by: \.callID)) } catch {
                            self.logger.warning("a run's calls not dispatched; the sweep tries again", metadata: ["cause": "\(error)"])
                        }
                    }
                }
            }
        } catch {
            logger.warning("calls not dispatched; the sweep tries again", metadata: ["cause": "\(error)"])
        }
    }

    /// All calls of a run in one decision, unless the gate has something to say about one of them.
    private func dispatch(_ rules: ToolRules, _ runID: RunID, _ rows: [CallID: [DispatchCandidate]]) async throws {
        for _ in 0...rows.count {
            let round = Mutex(Round())
            // Devices that were chosen are busy until the commit is known, whatever came of it.
            defer { for assignment in round.withLock({ $0.assignments.values }) { registry.assigned(assignment.deviceID) } }
            let decision = try await runs.decide(rules.scope, runID) { state in
                round.withLock { self.decide(rules, rows, state, &$0) }
            }
            let (assignments, isCut, effect) = round.withLock { ($0.assignments, $0.isCut, $0.counted) }
            if decision.answer == .applied, let effect { gate.count(.dispatch, .device, effect) }
            for assignment in assignments.values {
                guard let call = decision.state.call(assignment.callID), call.isOpen, call.deviceID == assignment.deviceID else { continue }
                if decision.answer == .applied {
                    callsDispatched.add()
                    gate.count(.dispatch, .device, .allow)
                }
                send(call, assignment)
            }
            guard isCut, decision.answer == .applied else { return }
        }
    }

    /// Decided anew whenever somebody else wrote first, so what an earlier try chose is kept where it still holds.
    private func decide(
        _ rules: ToolRules, _ rows: [CallID: [DispatchCandidate]], _ state: RunState, _ round: inout Round
    ) -> RunTransition? {
        round.isCut = false
        round.counted = nil
        var transition: RunTransition?
        for (callID, candidates) in rows {
            guard let call = state.call(callID), call.isOpen, !call.isAwaitingApproval, call.deviceID == nil, let row = candidates.first
            else { continue }
            // Of this call, whichever devices it might go to.
            var inquiry = PolicyInquiry()
            switch rules.atDispatch(agent: row.agentName, call, device: .open(labels: row.selectorLabels), &inquiry) {
            case .refused(let outcome, let record):
                (round.isCut, round.counted) = (true, .deny)
                var refusal = RunMachine.record(outcome, of: callID, in: state)
                refusal?.decisions = [record]
                return refusal
            case .ask(let request, let record):
                (round.isCut, round.counted) = (true, .requireApproval)
                var held = RunMachine.requireApproval(request, of: callID, in: state)
                held?.decisions = [record]
                return held
            case .pass: break
            }
            guard let assignment = round.assignments[callID] ?? choose(call, candidates, rules, &inquiry),
                let one = RunMachine.dispatch(callID, to: assignment.deviceID, in: state)
            else { continue }
            round.assignments[callID] = assignment
            if transition == nil {
                transition = one
            } else {
                transition?.events += one.events
                transition?.dispatches += one.dispatches
            }
        }
        return transition
    }

    /// The least busy of those that may; of equals, the one that is connected longest.
    private func choose(
        _ call: CallState, _ rows: [DispatchCandidate], _ rules: ToolRules, _ inquiry: inout PolicyInquiry
    ) -> Assignment? {
        var passes: [DeviceID: ToolPass] = [:]
        var devices: [DispatchCandidate.Device] = []
        for device in rows.compactMap(\.device) {
            let isAllowed = Glob.allow(rows[0].tool, in: device.allowedTools)
            // A session of this process that is not here has just ended; its row is about to say so.
            guard isAllowed, device.replicaID != replicaID || registry.session(of: device.deviceID) != nil else { continue }
            // What policy says of this very device.
            let verdict = rules.atDispatch(agent: rows[0].agentName, call, device: .chosen(labels: device.labels), &inquiry)
            guard case .pass(let pass) = verdict else { continue }
            passes[device.deviceID] = pass
            devices.append(device)
        }
        var chosen: DispatchCandidate.Device?
        let deviceID = registry.assign { assigning in
            let load = { (device: DispatchCandidate.Device) in device.openCalls + (assigning[device.deviceID] ?? 0) }
            chosen = devices.filter { load($0) < Limits.maxCallsPerDevice }
                .min { (load($0), $0.connectedAt) < (load($1), $1.connectedAt) }
            return chosen?.deviceID
        }
        guard let deviceID, let chosen, let pass = passes[deviceID] else { return nil }
        return Assignment(
            pass: pass, runID: rows[0].runID, deviceID: deviceID, sessionID: chosen.sessionID, deadlineAt: rows[0].deadlineAt)
    }

    /// After the commit. A frame that does not arrive is found missing by the process that holds the socket.
    private func send(_ state: CallState, _ assignment: Assignment) {
        let frame = DeviceFrame.call(
            assignment.pass, of: assignment.runID, deadlineAt: assignment.deadlineAt, attempt: state.dispatches)
        if let session = registry.session(of: assignment.deviceID) {
            _ = session.deliver(assignment.callID, of: assignment.runID, frame: frame)
        } else {
            DeviceNotice.call(assignment.runID, assignment.callID, frame: frame).publish(to: assignment.deviceID, over: redis)
        }
    }

    // MARK: After a registration

    /// What the device was asked before it went, then what waits for a device like it. Calls committed later find its session.
    func lookForWork(_ session: DeviceSession, _ identity: DeviceIdentity) async {
        await repeatCalls(of: session, identity)
        await dispatchWaiting(for: identity.deviceID, identity.scope)
    }

    func dispatchWaiting(for device: DeviceID, _ scope: TenantScope) async {
        do {
            let waiting = try await database.tenant(scope).callsWaiting(for: device, limit: Limits.maxCallsPerDevice)
            if !waiting.isEmpty { await dispatch(scope, waiting) }
        } catch {
            logger.warning("waiting calls not looked for; the sweep finds them", metadata: ["cause": "\(error)"])
        }
    }

}
