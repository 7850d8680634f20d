import Domain
import Logging
import Storage
import Synchronization

extension DeviceHub {
    /// With arguments of their largest size these fill a socket's queue.
    private static let repeatBatch = 8

    /// Sends the open calls that this socket was not sent, a few at a time, as long as it takes them. Each is asked of the gate again:
    /// days may have passed since the device was asked, and policy may deny by now what it allowed then, or the device's `allowedTools` no
    /// longer name the tool.
    func repeatCalls(of session: DeviceSession, _ identity: DeviceIdentity) async {
        guard session.beginRepeating() else { return }
        defer { session.endRepeating() }
        let tenant = database.tenant(identity.scope)
        var seen: [CallID] = []
        do {
            while session.outbox.hasRoomForCalls {
                let calls = try await tenant.unansweredCalls(
                    of: identity.deviceID, except: session.sentCalls + seen, limit: Self.repeatBatch)
                guard !calls.isEmpty else { return }
                seen += calls.map(\.callID)
                let passes = try await passes(for: calls, session, identity)
                for delivery in try await tenant.countDeliveries(of: Array(passes.keys), to: identity.deviceID) {
                    guard let pass = passes[delivery.callID] else { continue }
                    let frame = DeviceFrame.call(
                        pass, of: delivery.runID, deadlineAt: delivery.deadlineAt, attempt: delivery.attempt)
                    guard session.deliver(delivery.callID, of: delivery.runID, frame: frame) else { return }
                    callsRepeated.add()
                }
                if calls.count < Self.repeatBatch { return }
            }
        } catch {
            logger.warning("open calls not sent again; the sweep tries again", metadata: ["cause": "\(error)"])
        }
    }

    /// Of those among them that policy and the device's own list still allow. The others are over by then: the device, which may have begun, is told to stop.
    private func passes(
        for calls: [UnansweredCall], _ session: DeviceSession, _ identity: DeviceIdentity
    ) async throws -> [CallID: ToolPass] {
        let rules = try await gate.rules(identity.scope)
        var passes: [CallID: ToolPass] = [:]
        for call in calls {
            let found = Mutex<ToolPass?>(nil)
            let decision = try await runs.decide(identity.scope, call.runID) { state in
                found.withLock { $0 = nil }
                guard let known = state.call(call.callID), known.isOpen, known.deviceID == identity.deviceID else { return nil }
                let isAllowed = Glob.allow(call.tool, in: call.allowedTools)
                switch rules.again(agent: call.agentName, known, device: call.labels, isAllowed: isAllowed) {
                case .pass(let pass): found.withLock { $0 = pass }
                case .refused(let outcome, let record):
                    var refusal = RunMachine.record(outcome, of: call.callID, in: state)
                    refusal?.decisions = [record]
                    return refusal
                case .ask: break
                }
                return nil
            }
            if let pass = found.withLock({ $0 }) {
                gate.count(.dispatch, .device, .allow)
                passes[call.callID] = pass
            } else if decision.answer == .applied {
                gate.count(.dispatch, .device, .deny)
                session.cancel(call.callID, reason: .callEnded)
            }
        }
        return passes
    }
}

extension DeviceSession {
    /// The device may stop working on it.
    func cancel(_ call: CallID, reason: CallCancelReason) {
        settled(call)
        outbox.offer(DeviceFrame.cancel(call, reason: reason))
    }
}
