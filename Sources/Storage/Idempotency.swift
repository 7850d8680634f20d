public import Domain
public import JSON
public import Postgres

/// What a creation answers, and what of it may be kept.
public struct CreationAnswer: Sendable {
    /// 200 or 201.
    public let status: Int
    public let location: String?
    public let body: RawJSON
    /// What was created, where the body holds a secret: such a body is never stored.
    public let secretID: String?

    public init(status: Int, location: String?, body: RawJSON, secretID: String? = nil) {
        self.status = status
        self.location = location
        self.body = body
        self.secretID = secretID
    }
}

/// The answer that a key got before.
public struct IdempotencyRecord: Sendable {
    public enum Answer: Sendable {
        case answer(CreationAnswer)
        /// It held a secret, which is shown once.
        case secret(createdID: String, location: String?)
    }

    public let fingerprint: [UInt8]
    public let answer: Answer
}

extension TenantDatabase {
    /// The first statement of a creating transaction. False when the slot is taken, by a request that has been answered.
    ///
    /// Waits at most `waitMilliseconds` for a transaction that has written this slot and not ended, then throws sqlState 55P03. The
    /// bound is set by the statement itself, before its row is inserted, and holds for every lock until the transaction's end.
    public func takeIdempotencySlot(_ request: IdempotentRequest, waitMilliseconds: Int) async throws(PostgresError) -> Bool {
        try await query(
            """
            WITH bound AS MATERIALIZED (SELECT set_config('lock_timeout', \(String(waitMilliseconds)), true))
            INSERT INTO hsafa.idempotency_keys AS k (tenant_id, principal_id, slot, operation, fingerprint, expires_at)
            SELECT \(tenantID), \(request.principalID), \(PostgresBytea(request.slot)), \(request.operation),
                \(PostgresBytea(request.fingerprint)), now() + make_interval(secs => \(Double(Limits.idempotencySeconds))) FROM bound
            ON CONFLICT (tenant_id, principal_id, slot) DO UPDATE SET
                operation = excluded.operation, fingerprint = excluded.fingerprint, status = NULL, location = NULL, body = NULL,
                created_id = NULL, created_at = now(), expires_at = excluded.expires_at
                WHERE k.expires_at <= now()
            RETURNING 1
            """
        ).affected == 1
    }

    /// The last statement of a creating transaction.
    public func keepAnswer(_ answer: CreationAnswer, of request: IdempotentRequest) async throws(PostgresError) {
        let body = answer.secretID == nil ? answer.body.json : nil
        _ = try await query(
            """
            UPDATE hsafa.idempotency_keys SET status = \(Int16(answer.status)), location = \(answer.location), body = \(body),
                created_id = \(answer.secretID)
            WHERE tenant_id = \(tenantID) AND principal_id = \(request.principalID) AND slot = \(PostgresBytea(request.slot))
            """)
    }

    /// nil when the slot is free, or has run out.
    public func idempotencyRecord(_ request: IdempotentRequest) async throws(PostgresError) -> IdempotencyRecord? {
        let rows = try await query(
            """
            SELECT fingerprint, status, location, body, created_id FROM hsafa.idempotency_keys
            WHERE tenant_id = \(tenantID) AND principal_id = \(request.principalID) AND slot = \(PostgresBytea(request.slot))
              AND expires_at > now() AND status IS NOT NULL
            """)
        guard let row = rows.first else { return nil }
        let location = try row.decode(2, as: String?.self)
        let answer: IdempotencyRecord.Answer
        if let body = try row.decode(3, as: RawJSON?.self) {
            answer = .answer(CreationAnswer(status: Int(try row.decode(1, as: Int16.self)), location: location, body: body))
        } else {
            answer = .secret(createdID: try row.decode(4), location: location)
        }
        return IdempotencyRecord(fingerprint: try row.decode(0, as: PostgresBytea.self).bytes, answer: answer)
    }
}

extension Database {
    /// Drops records whose time is over, of all tenants; how many.
    public func sweepIdempotencyKeys(limit: Int) async throws(PostgresError) -> Int {
        try await unscoped("SELECT hsafa.sweep_idempotency_keys(\(Int32(limit)))", lane: .slow).first?.decode(0, as: Int.self) ?? 0
    }
}
