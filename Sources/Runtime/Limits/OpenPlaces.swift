import Domain
import Storage
import Synchronization

/// A taken place; given back by `release`, or when nobody refers to it any more.
public final class Place: Sendable {
    private let places: OpenPlaces
    fileprivate let key: OpenPlaces.Key
    fileprivate let member: String
    private let isHeld = Atomic<Bool>(true)

    fileprivate init(_ places: OpenPlaces, _ key: OpenPlaces.Key, _ member: String) {
        self.places = places
        self.key = key
        self.member = member
    }

    deinit { release() }

    public func release() { end(isTakenOver: false) }

    /// Another process has the place now, under the same name.
    func leave() { end(isTakenOver: true) }

    private func end(isTakenOver: Bool) {
        guard isHeld.exchange(false, ordering: .relaxed) else { return }
        places.remove(key, member, isTakenOver: isTakenOver)
    }
}

/// The places that this process holds: renewed while they last, and the bound of this process alone while Redis is away.
final class OpenPlaces: Sendable {
    struct Key: Hashable, Sendable {
        let tenant: TenantID
        let name: LimitName
    }

    private let holders: Holders
    /// How often each member is held here: a device that takes its socket over is here twice for a moment.
    private let open = Mutex<[Key: [String: Int]]>([:])

    init(holders: Holders) { self.holders = holders }

    /// Counted here before Redis is asked, so that the bound of this process holds without it.
    func add(_ tenant: TenantID, _ name: LimitName, _ member: String) -> Place {
        let key = Key(tenant: tenant, name: name)
        open.withLock { $0[key, default: [:]][member, default: 0] += 1 }
        return Place(self, key, member)
    }

    fileprivate func remove(_ key: Key, _ member: String, isTakenOver: Bool) {
        open.withLock { open in
            let rest = (open[key]?[member] ?? 1) - 1
            open[key]?[member] = rest > 0 ? rest : nil
            if open[key]?.isEmpty == true { open[key] = nil }
            // Under the lock, as the renewal: it cannot go out behind this with the member in it.
            if rest <= 0, !isTakenOver { holders.release(key.tenant, key.name, member: member) }
        }
    }

    func count(_ tenant: TenantID, _ name: LimitName) -> Int { open.withLock { $0[Key(tenant: tenant, name: name)]?.count ?? 0 } }

    func renew() {
        open.withLock { open in
            _ = holders.renew(open.map { (tenant: $0.key.tenant, name: $0.key.name, members: Array($0.value.keys)) })
        }
    }
}
