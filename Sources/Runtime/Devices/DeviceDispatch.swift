import Domain
import JSON
import Logging
import Storage

extension DeviceHub {
    /// Which device a call goes to.
    private struct Assignment: Sendable {
        let callID: CallID
        let runID: RunID
        let deviceID: DeviceID
        let sessionID: DeviceSessionID
        let deadlineAt: Timestamp
    }

    private struct Refusal: Sendable {
        let callID: CallID
        let runID: RunID
        let outcome: ToolOutcome
    }

    /// Finds a device for each call that still waits, and sends what was decided once it is committed. A call for which nobody is
    /// online stays as it is: the registration of its device or the sweep comes back to it, or its deadline ends it.
    func dispatch(_ scope: TenantScope, _ calls: [CallID]) async {
        var plan: [RunID: [Assignment]] = [:]
        defer { for assignment in plan.values.joined() { registry.assigned(assignment.deviceID) } }
        do {
            let candidates = try await database.tenant(scope).dispatchCandidates(calls, onlineSeconds: onlineSeconds)
            var refusals: [Refusal] = []
            for (callID, rows) in Dictionary(grouping: candidates, by: \.callID) {
                if let refusal = refusal(scope, callID, rows[0]) {
                    refusals.append(refusal)
                } else if let assignment = choose(callID, rows) {
                    plan[assignment.runID, default: []].append(assignment)
                }
            }
            for refusal in refusals {
                _ = try await runs.decide(scope, refusal.runID) { RunMachine.record(refusal.outcome, of: refusal.callID, in: $0) }
            }
            await commit(scope, plan)
        } catch {
            logger.warning("calls not dispatched; the sweep tries again", metadata: ["cause": "\(error)"])
        }
    }

    /// The gate's word at this moment: what policy admitted when it was asked for may be denied by now.
    private func refusal(_ scope: TenantScope, _ callID: CallID, _ row: DispatchCandidate) -> Refusal? {
        let decision = gate.admits(
            PolicyQuestion(tenantSlug: scope.slug, agentName: row.agentName, target: .device, tool: row.tool))
        guard !decision.isAllowed else { return nil }
        return Refusal(
            callID: callID, runID: row.runID,
            outcome: .denied(
                reason: decision.reason == "rule" ? "denied_by_policy" : decision.reason,
                message: decision.ruleIDs.isEmpty
                    ? "No policy rule allows \(row.tool) on target device." : "Policy denies \(row.tool) on target device."))
    }

    /// The least busy of those that may; of equals, the one that is connected longest.
    private func choose(_ callID: CallID, _ rows: [DispatchCandidate]) -> Assignment? {
        let devices = rows.compactMap(\.device).filter { device in
            let isAllowed = device.allowedTools.map { $0.contains { Glob($0).matches(rows[0].tool) } } ?? true
            // A session of this process that is not here has just ended; its row is about to say so.
            return isAllowed && (device.replicaID != replicaID || registry.session(of: device.deviceID) != nil)
        }
        var chosen: DispatchCandidate.Device?
        let deviceID = registry.assign { assigning in
            let load = { (device: DispatchCandidate.Device) in device.openCalls + (assigning[device.deviceID] ?? 0) }
            chosen = devices.filter { load($0) < Limits.maxCallsPerDevice }
                .min { (load($0), $0.connectedAt) < (load($1), $1.connectedAt) }
            return chosen?.deviceID
        }
        guard let deviceID, let chosen else { return nil }
        return Assignment(
            callID: callID, runID: rows[0].runID, deviceID: deviceID, sessionID: chosen.sessionID, deadlineAt: rows[0].deadlineAt)
    }

    /// All calls of a run in one decision, the runs beside each other.
    private func commit(_ scope: TenantScope, _ plan: [RunID: [Assignment]]) async {
        await withTaskGroup(of: Void.self) { group in
            for (runID, assignments) in plan {
                group.addTask {
                    do { try await self.commit(scope, runID, assignments) } catch {
                        self.logger.warning("a run's calls not dispatched; the sweep tries again", metadata: ["cause": "\(error)"])
                    }
                }
            }
        }
    }

    private func commit(_ scope: TenantScope, _ runID: RunID, _ assignments: [Assignment]) async throws {
        let decision = try await runs.decide(scope, runID) { Self.transition(assignments, in: $0) }
        for assignment in assignments {
            guard let call = decision.state.call(assignment.callID), call.isOpen, call.deviceID == assignment.deviceID else { continue }
            if decision.answer == .applied { callsDispatched.add() }
            send(call, assignment)
        }
    }

    private static func transition(_ assignments: [Assignment], in state: RunState) -> RunTransition? {
        var transition: RunTransition?
        for assignment in assignments {
            guard let one = RunMachine.dispatch(assignment.callID, to: assignment.deviceID, in: state) else { continue }
            if transition == nil {
                transition = one
            } else {
                transition?.events += one.events
                transition?.dispatches += one.dispatches
            }
        }
        return transition
    }

    /// After the commit. A frame that does not arrive is found missing by the process that holds the socket.
    private func send(_ state: CallState, _ assignment: Assignment) {
        let call = DeviceCall(
            runID: assignment.runID, callID: assignment.callID, tool: state.call.name, arguments: state.arguments ?? .emptyObject,
            deadlineAt: assignment.deadlineAt, attempt: state.dispatches)
        let frame = DeviceFrame.call(call)
        if let session = registry.session(of: assignment.deviceID) {
            _ = session.deliver(call.callID, of: call.runID, frame: frame)
        } else {
            DeviceNotice.call(call.runID, call.callID, frame: frame).publish(to: assignment.deviceID, over: redis)
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

    /// Sends the open calls that this socket was not sent, a few at a time, as long as it takes them.
    func repeatCalls(of session: DeviceSession, _ identity: DeviceIdentity) async {
        guard session.beginRepeating() else { return }
        defer { session.endRepeating() }
        do {
            while session.outbox.hasRoomForCalls {
                let calls = try await database.tenant(identity.scope).callsToRepeat(
                    for: identity.deviceID, except: session.sentCalls, limit: Self.repeatBatch)
                for call in calls {
                    guard session.deliver(call.callID, of: call.runID, frame: DeviceFrame.call(call)) else { return }
                    callsRepeated.add()
                }
                if calls.count < Self.repeatBatch { return }
            }
        } catch {
            logger.warning("open calls not sent again; the sweep tries again", metadata: ["cause": "\(error)"])
        }
    }

    /// With arguments of their largest size these fill a socket's queue.
    private static let repeatBatch = 8
}

extension DeviceSession {
    /// The device may stop working on it.
    func cancel(_ call: CallID, reason: CallCancelReason) {
        settled(call)
        outbox.offer(DeviceFrame.cancel(call, reason: reason))
    }
}
