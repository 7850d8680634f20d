import Cryptography
import Domain
import JSON
import Logging
import Redis
import Storage
import Synchronization

/// Why a socket is over, as the device and the session's row are told.
struct DeviceEnd: Sendable {
    let code: UInt16
    let reason: String

    /// The device went, or its network did.
    static let disconnected = DeviceEnd(code: 1000, reason: "disconnected")
    static let goingAway = DeviceEnd(code: DeviceCloseCode.goingAway, reason: "going_away")
    static let takenOver = DeviceEnd(code: DeviceCloseCode.takenOver, reason: "taken_over")
    static let revoked = DeviceEnd(code: DeviceCloseCode.revoked, reason: "revoked")
    static let heartbeatMissed = DeviceEnd(code: DeviceCloseCode.heartbeatMissed, reason: "heartbeat_missed")
    static let registrationTimeout = DeviceEnd(code: DeviceCloseCode.registrationTimeout, reason: "registration_timeout")
    static let tooManyConnections = DeviceEnd(code: DeviceCloseCode.tooManyConnections, reason: "too_many_connections")
    static let protocolViolation = DeviceEnd(code: DeviceCloseCode.protocolViolation, reason: "protocol_violation")
}

/// Whom a socket belongs to, once it has proved it.
struct DeviceIdentity: Sendable {
    let scope: TenantScope
    let deviceID: DeviceID
    let sessionID: DeviceSessionID
}

/// One socket, from the challenge to the close. Legal phases: challenged → registered → ended, or challenged → ended.
final class DeviceSession: Sendable {
    private struct SentCall {
        let runID: RunID
        let at: ContinuousClock.Instant
    }

    private struct State {
        var identity: DeviceIdentity?
        var end: DeviceEnd?
        var lastReceived = ContinuousClock.now
        var nextHeartbeat = ContinuousClock.now
        var violations = 0
        /// Results for calls that it was not asked, that it may send without being closed.
        var straysLeft = Double(Limits.maxStrayResults)
        var strayAt = ContinuousClock.now
        /// Open calls that this socket was sent.
        var sent: [CallID: SentCall] = [:]
        var isRepeating = false
        var subscription: RedisSubscription?
        var place: Place?
    }

    let hub: DeviceHub
    let transport: any DeviceTransport
    let outbox = DeviceOutbox()
    let nonce = Base64URL.encode(SecureRandom.bytes(32))
    let challengedAt = Timestamp.now().description
    private let state = Mutex(State())
    private let ending = Signal()

    init(hub: DeviceHub, transport: any DeviceTransport) {
        self.hub = hub
        self.transport = transport
    }

    // MARK: Life

    enum Part: Sendable {
        case ended, written, read, graceOver, registrationWatched
    }

    /// Returns when the socket is closed and nothing of the session is under way any more.
    func run<Frames: AsyncSequence & Sendable>(_ frames: Frames) async where Frames.Element == DeviceInput {
        outbox.offer(DeviceFrame.challenge(nonce: nonce, ts: challengedAt, audience: hub.audience))
        await withTaskGroup(of: Part.self) { group in
            group.addTask {
                await self.ending.wait()
                return .ended
            }
            group.addTask { await self.write() }
            group.addTask { await self.read(frames) }
            group.addTask {
                try? await Task.sleep(for: self.hub.configuration.intervals.deviceRegistration)
                if !self.isRegistered { self.end(.registrationTimeout) }
                return .registrationWatched
            }
            await conclude(&group)
        }
        let (identity, subscription, place) = state.withLock { state -> (DeviceIdentity?, RedisSubscription?, Place?) in
            defer { (state.subscription, state.place) = (nil, nil) }
            return (state.identity, state.subscription, state.place)
        }
        subscription?.cancel()
        // The place is the device's: who took over has it now, here or in another process.
        if currentEnd.code == DeviceCloseCode.takenOver { place?.leave() } else { place?.release() }
        if let identity { hub.sessionEnded(self, identity, reason: currentEnd.reason) }
    }

    /// What is queued still goes out, and results at hand are still written, within a bound.
    private func conclude(_ group: inout TaskGroup<Part>) async {
        var isWritten = false
        var isRead = false
        while let part = await group.next() {
            switch part {
            case .ended:
                end(.goingAway)  // Only a canceled task ends without a reason.
                outbox.finish()
                group.addTask {
                    try? await Task.sleep(for: .seconds(DeviceHub.closeGraceSeconds))
                    return .graceOver
                }
            case .written:
                isWritten = true
                await transport.close(code: currentEnd.code, reason: currentEnd.reason)
            case .read: isRead = true
            case .registrationWatched: break
            case .graceOver:
                if !isWritten { await transport.close(code: currentEnd.code, reason: currentEnd.reason) }
                group.cancelAll()
                return
            }
            if isWritten, isRead { break }
        }
        group.cancelAll()
    }

    private func write() async -> Part {
        do { try await outbox.drain { try await self.transport.send($0) } } catch { end(.disconnected) }
        return .written
    }

    /// The first reason stands.
    func end(_ end: DeviceEnd) {
        state.withLock { $0.end = $0.end ?? end }
        ending.close()
    }

    var currentEnd: DeviceEnd { state.withLock { $0.end } ?? .disconnected }
    var identity: DeviceIdentity? { state.withLock { $0.identity } }
    var isRegistered: Bool { state.withLock { $0.identity != nil } }

    /// Says why before the socket is closed.
    func refuse(_ code: String, _ message: String, retryable: Bool, closing end: DeviceEnd) {
        outbox.offer(DeviceFrame.error(code, message, retryable: retryable))
        self.end(end)
    }

    // MARK: State, as the hub and the session's own parts see it

    func heard() { state.withLock { $0.lastReceived = .now } }

    /// true when the session is over; a device has some violations for free, so that one bad frame costs it no calls.
    func countViolation() -> Bool {
        state.withLock { state in
            state.violations += 1
            return state.violations > DeviceHub.maxViolations
        }
    }

    /// true when too many came: each costs a look-up, and a device at its work sends none but after it lost its memory.
    func countStray(at now: ContinuousClock.Instant = .now) -> Bool {
        state.withLock { state in
            let seconds = Double((now - state.strayAt).components.seconds)
            if seconds >= 1 {
                state.straysLeft = min(Double(Limits.maxStrayResults), state.straysLeft + seconds * Limits.strayResultsPerSecond)
                state.strayAt = now
            }
            state.straysLeft -= 1
            return state.straysLeft < 0
        }
    }

    /// false when it ended meanwhile.
    func become(_ identity: DeviceIdentity, heartbeat: Duration) -> Bool {
        state.withLock { state in
            guard state.end == nil else { return false }
            state.identity = identity
            state.nextHeartbeat = .now + heartbeat
            return true
        }
    }

    func hold(_ place: Place) { state.withLock { $0.place = place } }
    func hold(_ subscription: RedisSubscription) { state.withLock { $0.subscription = subscription } }

    /// Ends a device that has been silent for too long; true when its next heartbeat is due.
    func beat(at now: ContinuousClock.Instant, every heartbeat: Duration) -> Bool {
        let (isSilent, isDue) = state.withLock { state -> (Bool, Bool) in
            // Two missed heartbeats, and half of one for the way.
            if now - state.lastReceived > heartbeat * 5 / 2 { return (true, false) }
            guard now >= state.nextHeartbeat, state.end == nil else { return (false, false) }
            state.nextHeartbeat = now + heartbeat
            return (false, true)
        }
        if isSilent { end(.heartbeatMissed) }
        return isDue
    }

    // MARK: Calls

    /// Puts a call on its way unless this socket was sent it already. false: no room; the sweep comes back to it.
    func deliver(_ callID: CallID, of runID: RunID, frame: [UInt8]) -> Bool {
        let isNew = state.withLock { state -> Bool? in
            guard state.end == nil, state.sent.count < Limits.maxCallsPerDevice * 2 else { return nil }
            guard state.sent[callID] == nil else { return false }
            state.sent[callID] = SentCall(runID: runID, at: .now)
            return true
        }
        guard let isNew else { return false }
        guard isNew else { return true }
        guard outbox.hasRoomForCalls, outbox.offer(frame) else {
            settled(callID)
            return false
        }
        hub.callsSent.add()
        return true
    }

    func runOfSentCall(_ callID: CallID) -> RunID? { state.withLock { $0.sent[callID]?.runID } }

    /// The call has its outcome.
    func settled(_ callID: CallID) { state.withLock { $0.sent[callID] = nil } }

    var sentCalls: [CallID] { state.withLock { Array($0.sent.keys) } }

    /// Compares what this socket was sent with what was open at `moment`: calls that ended elsewhere are forgotten and canceled.
    /// true when calls are open that it was not sent.
    func compare(open: [CallID], at moment: ContinuousClock.Instant) -> Bool {
        let (over, isLacking) = state.withLock { state -> ([CallID], Bool) in
            let open = Set(open)
            let over = state.sent.filter { $0.value.at < moment && !open.contains($0.key) }.map(\.key)
            for call in over { state.sent[call] = nil }
            return (over, open.contains { state.sent[$0] == nil })
        }
        for call in over { outbox.offer(DeviceFrame.cancel(call, reason: .callEnded)) }
        return isLacking
    }

    /// One delivery of open calls at a time. false when one is under way.
    func beginRepeating() -> Bool {
        state.withLock { state in
            guard !state.isRepeating, state.end == nil else { return false }
            state.isRepeating = true
            return true
        }
    }

    func endRepeating() { state.withLock { $0.isRepeating = false } }
}
