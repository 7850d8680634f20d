public import Domain
import Postgres
public import Storage

/// Creations whose request carried an `Idempotency-Key`: each happens once, however often it is asked for, at once or one after the
/// other, on one replica or several, and over crashes.
///
/// The key's record is the first row of the transaction that creates, and the answer its last. So there is no state between "not yet"
/// and "answered" that a crash could leave behind; a twin waits for the transaction's end and then finds the answer, or, where it was
/// rolled back, the slot free.
public struct Creations: Sendable {
    public enum Outcome<Created: Sendable>: Sendable {
        /// Committed just now: what follows a commit is still to be done.
        case created(Created, CreationAnswer)
        case replayed(CreationAnswer)
        /// The first answer held a secret, which is not shown again.
        case secretGone(createdID: String, location: String?)
    }

    private enum Attempt<Created: Sendable>: Sendable {
        case created(Created, CreationAnswer)
        case taken(IdempotencyRecord?)
    }

    private let database: Database
    private let inFlight = InFlightKeys()
    private let replays: MetricCounter

    init(database: Database, metrics: MetricsRegistry) {
        self.database = database
        replays = metrics.counter("hsafa_idempotent_replays_total", help: "Creating requests answered from an earlier one's record.")
    }

    /// Without a key: each statement takes the fast lane that it would take anyway.
    public func plain<Created: Sendable>(
        _ scope: TenantScope, _ create: @Sendable (TenantDatabase) async throws -> (Created, CreationAnswer)
    ) async throws -> Outcome<Created> {
        let (created, answer) = try await create(database.tenant(scope))
        return .created(created, answer)
    }

    /// - Parameter prepare: the work before the writing, done only where there is no answer yet and by one of the twins of this
    ///   process at a time. It gives what writes, through the database that it is given and nothing else; what that throws leaves nothing
    ///   behind, no record either.
    ///
    /// 422 `idempotency_key_reused` when the key came with another request; 409 `request_in_flight` when a twin has not ended within
    /// `Limits.idempotencyWaitMilliseconds`.
    public func once<Created: Sendable>(
        _ request: IdempotentRequest, _ scope: TenantScope,
        _ prepare: () async throws -> @Sendable (TenantDatabase) async throws -> (Created, CreationAnswer)
    ) async throws -> Outcome<Created> {
        let key = InFlightKeys.Key(tenant: scope.tenantID, principal: request.principalID, slot: request.slot)
        let deadline = ContinuousClock.now + .milliseconds(Limits.idempotencyWaitMilliseconds)
        while true {
            switch await inFlight.enter(key, until: deadline) {
            case .entered:
                defer { inFlight.leave(key) }
                if let record = try await database.tenant(scope).idempotencyRecord(request) { return try replay(record, to: request) }
                switch try await attempt(request, scope, until: deadline, try await prepare()) {
                case .created(let created, let answer): return .created(created, answer)
                case .taken(let record?): return try replay(record, to: request)
                // Its time ran out in the moment between the two statements.
                case .taken(nil): throw GatewayError.requestInFlight
                }
            case .ended:
                if let record = try await database.tenant(scope).idempotencyRecord(request) { return try replay(record, to: request) }
                // The twin failed, so it is this one's turn, or another's who waited as well.
                try Task.checkCancellation()
            case .overdue:
                try Task.checkCancellation()
                throw GatewayError.requestInFlight
            }
        }
    }

    private func attempt<Created: Sendable>(
        _ request: IdempotentRequest, _ scope: TenantScope, until deadline: ContinuousClock.Instant,
        _ create: @Sendable (TenantDatabase) async throws -> (Created, CreationAnswer)
    ) async throws -> Attempt<Created> {
        try await database.tenant(scope).inTransaction { tenant in
            let left = (deadline - .now).components
            let milliseconds = max(1, Int(left.seconds) * 1000 + Int(left.attoseconds / 1_000_000_000_000_000))
            let isOurs: Bool
            do {
                isOurs = try await tenant.takeIdempotencySlot(request, waitMilliseconds: milliseconds)
            } catch let error as PostgresError where error.sqlState == "55P03" {
                throw GatewayError.requestInFlight
            }
            guard isOurs else { return .taken(try await tenant.idempotencyRecord(request)) }
            let (created, answer) = try await create(tenant)
            try await tenant.keepAnswer(answer, of: request)
            return .created(created, answer)
        }
    }

    private func replay<Created: Sendable>(
        _ record: IdempotencyRecord, to request: IdempotentRequest
    ) throws(GatewayError) -> Outcome<Created> {
        guard record.fingerprint == request.fingerprint else { throw .idempotencyKeyReused }
        replays.add()
        switch record.answer {
        case .answer(let answer): return .replayed(answer)
        case .secret(let id, let location): return .secretGone(createdID: id, location: location)
        }
    }
}
