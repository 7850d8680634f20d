import Domain
import Storage
import Synchronization

/// Keys that were verified by this process, found by an HMAC of their text. What is known to have changed does not get in, and goes
/// out as soon as it is known.
final class PrincipalCache: Sendable {
    struct Digest: Hashable, Sendable { let bytes: [UInt8] }

    final class Entry: Sendable {
        let principal: Principal
        let publicID: String
        fileprivate let tenantGeneration: Atomic<Int32>
        private let suspended: Atomic<Bool>
        /// Nanoseconds of the cache's clock.
        fileprivate let checkedAt: Atomic<Int64>
        /// Unix milliseconds since it was last written down; 0: not used since.
        fileprivate let usedAt = Atomic<Int64>(0)
        private let checking = Atomic<Bool>(false)

        init(_ record: APIKeyRecord, publicID: String, checkedAt: Int64) {
            principal = Principal(
                keyID: record.keyID, scope: record.scope, scopes: record.scopes, isAdmin: record.isAdmin, expiresAt: record.expiresAt,
                generation: record.generation)
            self.publicID = publicID
            tenantGeneration = Atomic(record.tenantGeneration)
            suspended = Atomic(record.isTenantSuspended)
            self.checkedAt = Atomic(checkedAt)
        }

        var isTenantSuspended: Bool { suspended.load(ordering: .relaxed) }

        func use(at now: Timestamp) { usedAt.store(now.millisecondsSinceUnixEpoch, ordering: .relaxed) }

        /// One request at a time reads the row again; the others go on meanwhile.
        func beginCheck() -> Bool { !checking.exchange(true, ordering: .relaxed) }
        func endCheck() { checking.store(false, ordering: .relaxed) }
        func checked(at nanoseconds: Int64) { checkedAt.store(nanoseconds, ordering: .relaxed) }

        func note(tenantGeneration generation: Int32, isSuspended: Bool) {
            guard generation >= tenantGeneration.load(ordering: .relaxed) else { return }
            tenantGeneration.store(generation, ordering: .relaxed)
            suspended.store(isSuspended, ordering: .relaxed)
        }
    }

    private struct Heard<Change> {
        let change: Change
        let at: Int64
    }

    private struct State {
        var entries: [Digest: Entry] = [:]
        var digests: [APIKeyID: Set<Digest>] = [:]
        /// What was heard lately: bounded by the window of the poll.
        var keys: [APIKeyID: Heard<AccessChanges.Key>] = [:]
        var tenants: [TenantID: Heard<AccessChanges.Tenant>] = [:]
        /// Of keys that left the cache since their use was last written down.
        var uses: [APIKeyID: KeyUse] = [:]
    }

    private let capacity: Int
    /// Nanoseconds for which an entry stands while no poll succeeds.
    private let trust: Int64
    private let start = ContinuousClock.now
    private let state = Mutex(State())
    /// Nanoseconds of this clock: when the last poll that succeeded began, and before when a check does not count.
    private let polledAt = Atomic<Int64>(.min / 2)
    private let distrustedBefore = Atomic<Int64>(.min / 2)

    init(capacity: Int = Limits.maxCachedPrincipals, trust: Duration = GatewayIntervals().principalTrust) {
        self.capacity = capacity
        self.trust = Self.nanoseconds(trust)
    }

    private static func nanoseconds(_ duration: Duration) -> Int64 {
        duration.components.seconds * 1_000_000_000 + duration.components.attoseconds / 1_000_000_000
    }

    /// Nanoseconds since the cache was made; never goes back.
    var now: Int64 {
        Self.nanoseconds(ContinuousClock.now - start)
    }

    var count: Int { state.withLock { $0.entries.count } }

    func find(_ digest: Digest) -> Entry? { state.withLock { $0.entries[digest] } }

    /// False when the entry is to be checked against its row first.
    func trusts(_ entry: Entry, at now: Int64) -> Bool {
        let checkedAt = entry.checkedAt.load(ordering: .relaxed)
        let isPolled = now - polledAt.load(ordering: .relaxed) < trust
        let age = isPolled ? Int64(Limits.principalRecheckSeconds) * 1_000_000_000 : trust
        return now - checkedAt < age && checkedAt >= distrustedBefore.load(ordering: .relaxed)
    }

    /// False when the key is known to have changed since its row was read: then it is not kept.
    func insert(_ entry: Entry, for digest: Digest) -> Bool {
        state.withLock { state in
            let principal = entry.principal
            if let heard = state.keys[principal.keyID], heard.change.generation > principal.generation { return false }
            if let heard = state.tenants[principal.scope.tenantID]?.change {
                entry.note(tenantGeneration: heard.generation, isSuspended: heard.isSuspended)
            }
            if state.entries.count >= capacity, state.entries[digest] == nil,
                let oldest = state.entries.min(by: { Self.age($0.value) < Self.age($1.value) })?.key
            {
                Self.remove(oldest, from: &state)
            }
            state.entries[digest] = entry
            state.digests[principal.keyID, default: []].insert(digest)
            return true
        }
    }

    func remove(_ digest: Digest) { state.withLock { Self.remove(digest, from: &$0) } }

    /// By when it was checked: use would have to be told in the same unit, and a full cache is rare.
    private static func age(_ entry: Entry) -> Int64 { entry.checkedAt.load(ordering: .relaxed) }

    private static func remove(_ digest: Digest, from state: inout State) {
        guard let entry = state.entries.removeValue(forKey: digest) else { return }
        let principal = entry.principal
        state.digests[principal.keyID]?.remove(digest)
        if state.digests[principal.keyID]?.isEmpty == true { state.digests[principal.keyID] = nil }
        if let use = takeUse(entry) { note(use, in: &state) }
    }

    // MARK: Changes

    /// Generations only grow, so what is heard late or twice changes nothing.
    func apply(_ changes: AccessChanges) {
        let now = now
        if changes.isIncomplete { distrustedBefore.store(now, ordering: .relaxed) }
        state.withLock { state in
            for change in changes.keys {
                if let known = state.keys[change.keyID], known.change.generation > change.generation { continue }
                state.keys[change.keyID] = Heard(change: change, at: now)
                for digest in state.digests[change.keyID] ?? []
                where state.entries[digest].map({ $0.principal.generation < change.generation }) ?? false {
                    Self.remove(digest, from: &state)
                }
            }
            for change in changes.tenants {
                if let known = state.tenants[change.tenantID], known.change.generation > change.generation { continue }
                state.tenants[change.tenantID] = Heard(change: change, at: now)
            }
            guard !changes.tenants.isEmpty else { return }
            for entry in state.entries.values {
                guard let heard = state.tenants[entry.principal.scope.tenantID]?.change else { continue }
                entry.note(tenantGeneration: heard.generation, isSuspended: heard.isSuspended)
            }
        }
    }

    /// A poll that began at `began` has been applied: what was heard long before it is in the rows that anybody reads now.
    func polled(_ began: Int64) {
        polledAt.store(began, ordering: .relaxed)
        let limit = began - Int64(Limits.accessPollOverlapSeconds) * 1_000_000_000
        state.withLock { state in
            state.keys = state.keys.filter { $0.value.at > limit }
            state.tenants = state.tenants.filter { $0.value.at > limit }
        }
    }

    /// True when the principal's key or tenant is known to have changed since.
    func knowsBetter(than principal: Principal) -> Bool {
        state.withLock { state in
            if let heard = state.keys[principal.keyID], heard.change.generation > principal.generation { return true }
            return state.tenants[principal.scope.tenantID]?.change.isSuspended ?? false
        }
    }

    // MARK: Uses

    private static func takeUse(_ entry: Entry) -> KeyUse? {
        let used = entry.usedAt.exchange(0, ordering: .relaxed)
        guard used > 0 else { return nil }
        return KeyUse(
            tenantID: entry.principal.scope.tenantID, keyID: entry.principal.keyID, at: Timestamp(millisecondsSinceUnixEpoch: used))
    }

    private static func note(_ use: KeyUse, in state: inout State) {
        if let known = state.uses[use.keyID], known.at >= use.at { return }
        // Over the bound the oldest knowledge is lost, which costs a time that is somewhat old.
        guard state.uses.count < Limits.maxCachedPrincipals || state.uses[use.keyID] != nil else { return }
        state.uses[use.keyID] = use
    }

    func note(_ uses: [KeyUse]) { state.withLock { state in for use in uses { Self.note(use, in: &state) } } }

    /// What was used since the last time, one row a key.
    func takeUses() -> [KeyUse] {
        state.withLock { state in
            for entry in state.entries.values { if let use = Self.takeUse(entry) { Self.note(use, in: &state) } }
            defer { state.uses = [:] }
            return Array(state.uses.values)
        }
    }
}
