import Domain

/// Whose look-up is next: so many of a tenant are under way at once, so many more wait, and the last threads are for tenants that have none
/// under way. What a tenant's names cost that nobody answers for, it costs that tenant.
struct ResolverTurns<LookUp> {
    private struct Waiter {
        let id: Int
        let tenant: TenantID
        let lookUp: LookUp
    }

    private let threads: Int
    private var underWay: [TenantID: Int] = [:]
    private var total = 0
    /// In the order in which they came.
    private var waiting: [Waiter] = []
    private var lastID = 0

    init(threads: Int) { self.threads = threads }

    var count: Int { waiting.count }

    /// nil: too many wait already, of all or of this tenant. The bound of all is not for a tenant that has none under way or waiting: a few
    /// tenants whose names nobody answers for must not keep the others out.
    mutating func enter(_ lookUp: LookUp, of tenant: TenantID) -> Int? {
        let own = waiting.count { $0.tenant == tenant }
        guard own < Limits.maxWaitingResolutionsOfTenant else { return nil }
        if waiting.count >= Limits.maxWaitingResolutions {
            guard own == 0, underWay[tenant] == nil, waiting.count < 2 * Limits.maxWaitingResolutions else { return nil }
        }
        lastID += 1
        waiting.append(Waiter(id: lastID, tenant: tenant, lookUp: lookUp))
        return lastID
    }

    /// The next that may begin, which is under way from now on.
    mutating func next() -> (lookUp: LookUp, tenant: TenantID)? {
        let reserve = threads > 1 ? max(1, threads / Limits.slotReserveDivisor) : 0
        let free = threads - total
        guard free > 0 else { return nil }
        let share = free > reserve ? Limits.resolutionsOfTenantAtOnce : 1
        guard let index = waiting.firstIndex(where: { underWay[$0.tenant] ?? 0 < share }) else { return nil }
        let waiter = waiting.remove(at: index)
        underWay[waiter.tenant, default: 0] += 1
        total += 1
        return (waiter.lookUp, waiter.tenant)
    }

    mutating func ended(of tenant: TenantID) {
        total -= 1
        let left = (underWay[tenant] ?? 1) - 1
        underWay[tenant] = left > 0 ? left : nil
    }

    /// Nobody waits for it any more: it does not begin.
    mutating func leave(_ id: Int) { waiting.removeAll { $0.id == id } }
}
