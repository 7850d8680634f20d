import Domain
import Postgres
import Synchronization

/// Gathers appends of many runs into statements of many rows: a row among others costs Postgres a fifth of a statement with one row, and
/// a commit costs what it costs whatever is in it (docs/decisions/0017).
///
/// One statement of a tenant is under way, and what comes meanwhile gathers for the next: no timer, latency when idle, batches when
/// busy. While many wait, a second one goes out beside it. Each statement is one tenant's, behind its row-level security.
final class AppendQueue: Sendable {
    struct Tenant {
        private(set) var waiting: [PendingAppend] = []
        private var underWay = 0

        var isIdle: Bool { underWay == 0 && waiting.isEmpty }

        mutating func append(_ append: PendingAppend) -> AppendBatch? {
            waiting.append(append)
            return next()
        }

        mutating func ended() -> AppendBatch? {
            underWay -= 1
            return next()
        }

        private mutating func next() -> AppendBatch? {
            guard !waiting.isEmpty, underWay == 0 || (underWay == 1 && waiting.count >= Limits.appendsBesideOthers) else { return nil }
            underWay += 1
            return AppendBatch(takenFrom: &waiting)
        }
    }

    private let client: PostgresClient
    private let tenants = Mutex<[TenantID: Tenant]>([:])

    init(client: PostgresClient) { self.client = client }

    /// False is a conflict: someone else has written after `after`. The client's own time limits bound the wait; cancelling the task does
    /// not end it.
    func append(
        _ events: [NewRunEvent], to run: RunID, of tenant: TenantID, after: Int64, claim: Int32, at time: Timestamp
    ) async throws(PostgresError) -> Bool {
        try await withUnsafeContinuation { (waiter: UnsafeContinuation<PendingAppend.Answer, Never>) in
            let append = PendingAppend(run: run, after: after, claim: claim, events: events, time: time, waiter: waiter)
            let (isTaken, batch) = tenants.withLock { tenants -> (Bool, AppendBatch?) in
                guard tenants[tenant]?.waiting.count ?? 0 < Limits.maxQueuedAppends else { return (false, nil) }
                return (true, tenants[tenant, default: Tenant()].append(append))
            }
            if !isTaken {
                append.answer(.failure(PostgresError(.queueFull, "\(Limits.maxQueuedAppends) appends of one tenant wait already")))
            }
            if let batch { send(batch, of: tenant) }
        }.get()
    }

    private func send(_ batch: AppendBatch, of tenant: TenantID) {
        client.send(batch.statement(of: tenant), scope: tenant.description) { self.ended(batch, of: tenant, $0) }
    }

    private func ended(_ batch: AppendBatch, of tenant: TenantID, _ outcome: Result<PostgresRows, PostgresError>) {
        let next = tenants.withLock { tenants -> AppendBatch? in
            let next = tenants[tenant]?.ended()
            if tenants[tenant]?.isIdle ?? false { tenants[tenant] = nil }
            return next
        }
        if let next { send(next, of: tenant) }
        guard case .failure(let error) = outcome, error.isOfStatement, batch.appends.count > 1 else { return batch.answer(outcome) }
        // Postgres took back all of it. One by one, only the guilty caller sees the error.
        for append in batch.appends {
            let alone = AppendBatch([append])
            client.send(alone.statement(of: tenant), scope: tenant.description) { alone.answer($0) }
        }
    }
}

extension PostgresError {
    fileprivate var isOfStatement: Bool { !mayHaveRun && (code == .server || code == .timeout) }
}
