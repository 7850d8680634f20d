public import Domain
import JSON
public import Postgres

/// A run token's row, found before the tenant is known.
public struct RunTokenRecord: Sendable {
    public let scope: TenantScope
    public let isTenantSuspended: Bool
    public let token: RunToken
    /// SHA-256 of the token's text.
    public let secretHash: [UInt8]
    /// Of the key that made it.
    public let keyID: APIKeyID
    public let keyGeneration: Int32
    public let expiresAt: Timestamp
    /// False: revoked, over by its own time or its key's, or its run has ended.
    public let isGood: Bool
}

/// A run token as lists show it.
public struct RunTokenListing: Sendable {
    public let tokenID: RunTokenID
    public let grants: [RunTokenGrant]
    public let keyID: APIKeyID
    public let createdAt: Timestamp
    public let expiresAt: Timestamp
}

/// A run token that is to be written.
public struct NewRunToken: Sendable {
    public let tokenID: RunTokenID
    public let runID: RunID
    /// The part of its text that is no secret.
    public let publicID: String
    /// SHA-256 of its text.
    public let secretHash: [UInt8]
    public let grants: Set<RunTokenGrant>
    /// Who makes it, and with whom it ends.
    public let issuer: APIKeyID
    public let seconds: Int

    public init(
        tokenID: RunTokenID, runID: RunID, publicID: String, secretHash: [UInt8], grants: Set<RunTokenGrant>, issuer: APIKeyID,
        seconds: Int
    ) {
        self.tokenID = tokenID
        self.runID = runID
        self.publicID = publicID
        self.secretHash = secretHash
        self.grants = grants
        self.issuer = issuer
        self.seconds = seconds
    }
}

public enum RunTokenCreation: Sendable {
    case created(at: Timestamp, expiresAt: Timestamp)
    case noRun, runEnded, tooMany
    /// The key that asks was revoked or has expired meanwhile.
    case noIssuer
}

extension Credentials {
    public func runToken(publicID: String) async throws(PostgresError) -> RunTokenRecord? {
        let rows = try await database.unscoped(
            """
            SELECT tenant_id, slug, tenant_status, token_id, run_id, grants, secret_hash, key_id, key_generation, expires_at, is_good
            FROM hsafa.find_run_token(\(publicID), \(Double(Limits.runTokenGraceSeconds)))
            """)
        guard let row = rows.first else { return nil }
        let token = RunToken(
            tokenID: try row.decode(3), runID: try row.decode(4),
            grants: Set(try row.decode(5, as: [String].self).compactMap(RunTokenGrant.init(rawValue:))))
        return RunTokenRecord(
            scope: TenantScope(tenantID: try row.decode(0), slug: try row.decode(1)),
            isTenantSuspended: try row.decode(2, as: String.self) != "active", token: token,
            secretHash: try row.decode(6, as: PostgresBytea.self).bytes, keyID: try row.decode(7), keyGeneration: try row.decode(8),
            expiresAt: try row.decode(9), isGood: try row.decode(10))
    }
}

extension TenantDatabase {
    /// Those of the run that are good, newest first; their number is bounded.
    public func runTokens(of run: RunID) async throws(PostgresError) -> [RunTokenListing] {
        try await query(
            """
            SELECT t.token_id, t.grants, t.key_id, t.created_at, least(t.expires_at, k.expires_at) FROM hsafa.run_tokens t
            JOIN hsafa.api_keys k ON k.tenant_id = t.tenant_id AND k.key_id = t.key_id
            JOIN hsafa.runs r ON r.tenant_id = t.tenant_id AND r.run_id = t.run_id
            WHERE t.tenant_id = \(tenantID) AND t.run_id = \(run) AND t.revoked_at IS NULL AND k.revoked_at IS NULL
              AND least(t.expires_at, k.expires_at) > now()
              AND (r.finished_at IS NULL OR r.finished_at + make_interval(secs => \(Double(Limits.runTokenGraceSeconds))) > now())
            ORDER BY t.token_id DESC LIMIT \(Limits.maxRunTokensPerRun)
            """, lane: .list
        ).mapRows { row throws(PostgresError) in
            RunTokenListing(
                tokenID: try row.decode(0), grants: try row.decode(1, as: [String].self).compactMap(RunTokenGrant.init(rawValue:)),
                keyID: try row.decode(2), createdAt: try row.decode(3), expiresAt: try row.decode(4))
        }
    }

    /// Neither it nor the key that made it was revoked.
    public func isStillGood(_ token: RunToken) async throws(PostgresError) -> Bool {
        try await query(
            """
            SELECT 1 FROM hsafa.run_tokens t JOIN hsafa.api_keys k ON k.tenant_id = t.tenant_id AND k.key_id = t.key_id
            WHERE t.tenant_id = \(tenantID) AND t.token_id = \(token.tokenID) AND t.revoked_at IS NULL AND k.revoked_at IS NULL
            """
        ).first != nil
    }

    /// The key that made it; nil: the run has no such token.
    public func runTokenIssuer(_ id: RunTokenID, of run: RunID) async throws(PostgresError) -> APIKeyID? {
        try await query(
            "SELECT key_id FROM hsafa.run_tokens WHERE tenant_id = \(tenantID) AND run_id = \(run) AND token_id = \(id)"
        ).first?.decode(0)
    }
}

extension TenantChanges {
    public func insertRunToken(_ new: NewRunToken) async throws(PostgresError) -> RunTokenCreation {
        let grants = new.grants.map(\.rawValue).sorted()
        let entry = AuditEntry(.runTokenCreate, new.tokenID) { writer in
            writer.field("runId", string: new.runID.description)
            writer.field("grants", raw: .array { list in for grant in grants { list.string(grant) } })
            writer.field("expiresSeconds", int: new.seconds)
        }
        let change: SQL = """
            change AS (
                SELECT verdict, made_at, good_until FROM hsafa.create_run_token(
                    \(tenantID), \(new.tokenID), \(new.runID), \(new.publicID), \(PostgresBytea(new.secretHash)), \(grants), \(new.issuer),
                    \(Int32(new.seconds)), \(Double(Limits.runTokenGraceSeconds)), \(Int32(Limits.maxRunTokensPerRun))))
            """
        let rows = try await database.query(statement(entry, with: change, where: "verdict = 'created'"), lane: .alone)
        guard let row = rows.first else { throw PostgresError(.decoding, "create_run_token gave no row") }
        switch try row.decode(0, as: String.self) {
        case "created": return .created(at: try row.decode(1), expiresAt: try row.decode(2))
        case "no_run": return .noRun
        case "run_ended": return .runEnded
        case "too_many": return .tooMany
        default: return .noIssuer
        }
    }

    /// False when the run has no such token, or it is revoked already.
    public func revokeRunToken(_ id: RunTokenID, of run: RunID) async throws(PostgresError) -> Bool {
        let entry = AuditEntry(.runTokenRevoke, id) { writer in writer.field("runId", string: run.description) }
        return try await write(
            entry,
            """
            UPDATE hsafa.run_tokens SET revoked_at = now()
            WHERE tenant_id = \(tenantID) AND run_id = \(run) AND token_id = \(id) AND revoked_at IS NULL
            RETURNING token_id
            """
        ).first != nil
    }
}

extension Database {
    /// Drops tokens that were over long ago, of all tenants; how many.
    public func sweepRunTokens(limit: Int) async throws(PostgresError) -> Int {
        try await unscoped("SELECT hsafa.sweep_run_tokens(\(Int32(limit)))", lane: .slow).first?.decode(0, as: Int.self) ?? 0
    }
}
