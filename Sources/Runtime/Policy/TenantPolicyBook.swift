import Cryptography
import Domain
import JSON
import Logging
import NIOCore
import Postgres
import Redis
import Storage
import Synchronization

/// Tenants' own policies, compiled, as this process knows them: looked at again when they are some seconds old, and at once when a change
/// is announced. One caller looks while the others go on with what is known; nothing is read again that did not change.
final class TenantPolicyBook: Sendable {
    private struct Entry {
        /// nil: the tenant has none.
        var set: PolicySet?
        var fingerprint: String?
        var readAt: ContinuousClock.Instant
        var isBeingRead = false
    }

    private let database: Database
    private let subscriber: RedisSubscriber
    private let logger: Logger
    private let entries = Mutex<[TenantID: Entry]>([:])

    init(database: Database, subscriber: RedisSubscriber, logger: Logger) {
        self.database = database
        self.subscriber = subscriber
        self.logger = logger
    }

    /// Throws when nothing is known of the tenant's policies and Postgres cannot be asked: then nobody may act for it.
    func policies(of scope: TenantScope) async throws(PostgresError) -> PolicySet? {
        let now = ContinuousClock.now
        let (known, isMine) = entries.withLock { entries -> (Entry?, Bool) in
            guard let entry = entries[scope.tenantID] else { return (nil, true) }
            if entry.isBeingRead || now - entry.readAt < .seconds(Limits.tenantPoliciesSeconds) { return (entry, false) }
            entries[scope.tenantID]?.isBeingRead = true
            return (entry, true)
        }
        if let known, !isMine { return known.set }
        do {
            let tenant = database.tenant(scope)
            let fingerprint = try await tenant.policyFingerprint()
            if let known, known.fingerprint == fingerprint { return keep(known.set, fingerprint, scope, now) }
            // Read after the fingerprint: what changes in between is newer than its name here, and is read again.
            return keep(fingerprint == nil ? nil : try await Self.compile(tenant.policies()), fingerprint, scope, now)
        } catch {
            guard let known else { throw error }
            logger.debug("policies not read again; the known ones stand", metadata: ["tenant": "\(scope.tenantID)", "cause": "\(error)"])
            _ = keep(known.set, known.fingerprint, scope, now)
            return known.set
        }
    }

    private func keep(_ set: PolicySet?, _ fingerprint: String?, _ scope: TenantScope, _ now: ContinuousClock.Instant) -> PolicySet? {
        entries.withLock { entries in
            if entries[scope.tenantID] == nil, entries.count >= Limits.maxCachedTenants {
                // A rare event, so a scan is fine.
                if let oldest = entries.min(by: { $0.value.readAt < $1.value.readAt })?.key { entries[oldest] = nil }
            }
            entries[scope.tenantID] = Entry(set: set, fingerprint: fingerprint, readAt: now)
        }
        return set
    }

    /// What is stored was checked when it was put there. Should a later version of the gateway not know it any more, the tenant's layer
    /// denies everything: what was narrowed must not become wide.
    static func compile(_ records: [TenantPolicyRecord]) -> PolicySet? {
        guard !records.isEmpty else { return nil }
        var rules: [PolicyRule] = []
        var egress: [EgressRules] = []
        var isReadable = true
        for record in records {
            do {
                let document = try PolicyDocument(reading: record.document.document().root, prefix: prefix(record.name))
                rules += document.rules
                if let own = document.egress { egress.append(own) }
            } catch {
                rules.append(PolicyRule(id: prefix(record.name) + "unreadable", effect: .deny))
                isReadable = false
            }
        }
        let merged =
            !isReadable
            ? .nothing
            : egress.isEmpty
                ? nil
                : EgressRules(
                    byDefault: egress.contains { $0.byDefault == .deny } ? .deny : .public, allowances: egress.flatMap(\.allowances))
        let hash = SHA256.hash(Array(records.map { "\($0.name) \($0.hash)" }.joined(separator: "\n").utf8))
        return PolicySet(rules: rules, egress: merged, hash: "sha256:" + Hex.encode(hash))
    }

    /// Names of policies have no slash, so a tenant's rule is never taken for the operator's.
    static func prefix(_ name: String) -> String { "tenant/\(name)/" }

    func forget(_ tenant: TenantID) { entries.withLock { $0[tenant] = nil } }

    func run() async {
        let changes = subscriber.subscribe(RedisKeys.tenantsChanged) { [weak self] push in
            switch push {
            // What was announced before is not known.
            case .subscribed: self?.entries.withLock { $0 = [:] }
            case .message(let text): if let tenant = TenantID(String(buffer: text)) { self?.forget(tenant) }
            case .disconnected: break
            }
        }
        defer { changes.cancel() }
        while (try? await Task.sleep(for: .seconds(3600))) != nil {}
    }
}
