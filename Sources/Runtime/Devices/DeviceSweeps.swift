import Domain
import Logging
import Redis
import Storage
import Synchronization

/// Sessions of this process that are over and not yet written down.
final class EndedSessions: Sendable {
    struct Ended: Sendable {
        let identity: DeviceIdentity
        let reason: String
    }

    private let waiting = Mutex<[Ended]>([])
    let signal = Signal()

    /// Bounded by the number of sockets; while Postgres is away for long, the oldest are left to end by their silence.
    func add(_ identity: DeviceIdentity, reason: String) { add([Ended(identity: identity, reason: reason)]) }

    func add(_ ended: [Ended]) {
        waiting.withLock { waiting in
            waiting += ended
            if waiting.count > Limits.maxDeviceSessions { waiting.removeFirst(waiting.count - Limits.maxDeviceSessions) }
        }
        signal.raise()
    }

    func take(_ limit: Int) -> [Ended] {
        waiting.withLock { waiting in
            let taken = Array(waiting.prefix(limit))
            waiting.removeFirst(taken.count)
            return taken
        }
    }
}

extension DeviceHub {
    private static let batch = 512
    /// Sessions of one look for calls that were not sent.
    private static let sweepGroup = 1024

    // MARK: Heartbeats

    /// Pings, and one statement for all sessions that are due, of whatever tenant. Its answer is the poll behind takeover,
    /// revocation and suspension.
    func keepHeartbeats() async {
        let tick = min(heartbeat / 10, .seconds(1))
        while (try? await Task.sleep(for: tick)) != nil { await beat(at: .now) }
    }

    /// Those that are due at `now`.
    func beat(at now: ContinuousClock.Instant) async {
        let due = registry.all.filter { $0.beat(at: now, every: heartbeat) }
        for session in due { session.outbox.offer(DeviceFrame.ping()) }
        for start in stride(from: 0, to: due.count, by: Self.batch) {
            await renew(due[start..<min(start + Self.batch, due.count)])
        }
    }

    func renew(_ due: ArraySlice<DeviceSession>) async {
        var byID: [DeviceSessionID: (DeviceSession, DeviceIdentity)] = [:]
        for session in due { if let identity = session.identity { byID[identity.sessionID] = (session, identity) } }
        do {
            for renewal in try await sessions.renew(byID.values.map { ($0.1.scope.tenantID, $0.1.sessionID) }) {
                byID[renewal.sessionID].map { judge(renewal, $0.0) }
            }
        } catch {
            logger.warning("heartbeats not written", metadata: ["sessions": "\(byID.count)", "cause": "\(error)"])
        }
        guard redis.isConnected else { return }
        do { try await presence.renew(byID.values.map { ($0.1.deviceID, $0.1.sessionID) }) } catch {
            logger.debug("presence not renewed", metadata: ["cause": "\(error)"])
        }
    }

    private func judge(_ renewal: SessionRenewal, _ session: DeviceSession) {
        if renewal.isDeviceRevoked || renewal.closeReason == DeviceEnd.revoked.reason {
            session.refuse("revoked", "This device was revoked.", retryable: false, closing: .revoked)
        } else if renewal.closeReason == DeviceEnd.takenOver.reason {
            session.end(.takenOver)
        } else if renewal.isTenantSuspended {
            session.refuseSuspended()
        } else if renewal.closeReason != nil {
            // Taken for lost while this process could not write; a new session is the way back.
            session.end(.heartbeatMissed)
        }
    }

    // MARK: Ends

    func writeEndings() async {
        while !Task.isCancelled {
            await endings.signal.wait()
            do { try await flushEndings() } catch {
                logger.warning("ended sessions not written; trying again", metadata: ["cause": "\(error)"])
                try? await Task.sleep(for: .seconds(1))
                endings.signal.raise()
            }
        }
    }

    func flushEndings() async throws {
        while true {
            let ended = endings.take(Self.batch)
            guard !ended.isEmpty else { return }
            do {
                try await sessions.end(ended.map { ($0.identity.scope.tenantID, $0.identity.sessionID, $0.reason) })
            } catch {
                endings.add(ended)
                throw error
            }
            guard redis.isConnected else { continue }
            do { try await presence.remove(ended.map { ($0.identity.deviceID, $0.identity.sessionID) }) } catch {
                logger.debug("presence left to expire", metadata: ["cause": "\(error)"])
            }
        }
    }

    // MARK: Calls

    /// Behind each notice: open calls of the devices that this process holds and their sockets were not sent.
    func sweepDispatched() async {
        while await nextSweep() {
            let all = registry.all
            do {
                for start in stride(from: 0, to: all.count, by: Self.sweepGroup) {
                    let group = all[start..<min(start + Self.sweepGroup, all.count)].compactMap { session in
                        session.identity.map { (session, $0) }
                    }
                    let moment = ContinuousClock.now
                    let open = try await sessions.dispatchedCalls(of: group.map { ($0.1.scope.tenantID, $0.1.deviceID) })
                    for (session, identity) in group where session.compare(open: open[identity.deviceID] ?? [], at: moment) {
                        enqueue(.repeat(session, identity))
                    }
                }
                let lost = try await sessions.endSilent(afterSeconds: onlineSeconds * 2, limit: 1000)
                if lost > 0 { logger.warning("sessions of gateways that went away were ended", metadata: ["count": "\(lost)"]) }
            } catch {
                logger.warning("sweep of dispatched calls cut short", metadata: ["cause": "\(error)"])
            }
        }
    }

    /// Behind each commit and each registration: calls that nobody was asked yet.
    func sweepWaiting() async {
        var cursor: TenantID?
        while await nextSweep() {
            do {
                let (calls, next) = try await sessions.waitingCalls(after: cursor)
                cursor = next
                for (scope, calls) in Dictionary(grouping: calls, by: \.scope) { enqueue(.dispatch(scope, calls.map(\.callID))) }
            } catch {
                logger.warning("sweep of waiting calls cut short", metadata: ["cause": "\(error)"])
            }
        }
    }

    /// Spread, so that replicas that started together do not sweep together. false when canceled.
    private func nextSweep() async -> Bool {
        (try? await Task.sleep(for: configuration.intervals.callSweep * Double.random(in: 0.8...1.2))) != nil
    }
}
