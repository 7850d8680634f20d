public import Domain
import Storage
import Synchronization

/// What is open under a key or a run token: streams, each with the way to end it. Bounded by the connections that there are.
public final class KeyHolds: Sendable {
    private struct Hold {
        let principal: Principal
        let end: @Sendable () -> Void
    }

    private struct State {
        var nextID: UInt64 = 0
        var holds: [TenantID: [UInt64: Hold]] = [:]
    }

    private let cache: PrincipalCache
    private let state = Mutex(State())

    init(cache: PrincipalCache, metrics: MetricsRegistry) {
        self.cache = cache
        metrics.gauge("hsafa_key_holds", help: "Streams that end with their key.") { [weak self] in Double(self?.count ?? 0) }
    }

    public var count: Int { state.withLock { $0.holds.values.reduce(0) { $0 + $1.count } } }

    /// Runs `body`; `end` is called, once and from any thread, when the key or the token is revoked or expired, the key is
    /// rotated, or its tenant suspended.
    /// It must make `body` return.
    public func withHold<R>(
        _ principal: Principal, end: @escaping @Sendable () -> Void, _ body: () async throws -> R
    ) async throws -> R {
        let tenant = principal.scope.tenantID
        let id = state.withLock { state in
            state.nextID += 1
            state.holds[tenant, default: [:]][state.nextID] = Hold(principal: principal, end: end)
            return state.nextID
        }
        defer { _ = remove(id, of: tenant) }
        // What was heard between this request's authentication and its entry here would be missed otherwise.
        if cache.knowsBetter(than: principal) { throw GatewayError.unauthorized }
        return try await body()
    }

    private func remove(_ id: UInt64, of tenant: TenantID) -> Hold? {
        state.withLock { state in
            let hold = state.holds[tenant]?.removeValue(forKey: id)
            if state.holds[tenant]?.isEmpty == true { state.holds[tenant] = nil }
            return hold
        }
    }

    func apply(_ changes: AccessChanges) {
        let generations = Dictionary(changes.keys.map { ($0.keyID, $0.generation) }, uniquingKeysWith: max)
        for tenant in Set(changes.keys.map(\.tenantID)) {
            end(in: tenant) { principal in generations[principal.keyID].map { $0 > principal.generation } ?? false }
        }
        for (tenant, revoked) in Dictionary(grouping: changes.runTokens, by: \.tenantID) {
            let tokens = Set(revoked.map(\.tokenID))
            end(in: tenant) { principal in principal.runToken.map { tokens.contains($0.tokenID) } ?? false }
        }
        // More was revoked than could be read: whose token is still good comes back.
        if changes.isIncomplete {
            for tenant in state.withLock({ Array($0.holds.keys) }) { end(in: tenant) { $0.runToken != nil } }
        }
        for tenant in changes.tenants where tenant.isSuspended { end(in: tenant.tenantID) { _ in true } }
    }

    /// Those whose key has expired while they were open.
    func endExpired(at now: Timestamp = .now()) {
        for tenant in state.withLock({ Array($0.holds.keys) }) {
            end(in: tenant) { principal in principal.expiresAt.map { $0 <= now } ?? false }
        }
    }

    private func end(in tenant: TenantID, where isOver: (Principal) -> Bool) {
        let over = state.withLock { state in
            state.holds[tenant]?.filter { isOver($0.value.principal) }.map(\.key) ?? []
        }
        // Outside the lock, and only by whoever took it out: a hold ends once.
        for id in over { remove(id, of: tenant)?.end() }
    }
}
