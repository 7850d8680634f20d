public import Domain
public import Postgres

/// The tokens of one model on one day, UTC.
public struct UsageRecord: Sendable, Hashable {
    public let day: UsageDay
    /// `provider/name`
    public let model: String
    public let usage: TokenUsage
    public let modelCalls: Int
}

/// What a tenant uses at this moment of the limits that Postgres counts.
public struct UsageNow: Sendable, Hashable {
    public let tokens: Int
    public let runningRuns: Int
    public let agents: Int
}

extension TenantDatabase {
    /// Newest day first, then by model. `after` is the last row of the page before.
    public func usage(
        from: UsageDay, to: UsageDay, limit: Int, after: (day: UsageDay, model: String)?
    ) async throws(PostgresError) -> [UsageRecord] {
        try await query(
            """
            SELECT (u.day - '1970-01-01'::date)::integer, u.model, sum(u.input_tokens)::bigint, sum(u.output_tokens)::bigint,
                sum(u.model_calls)::bigint
            FROM hsafa.usage_daily u
            WHERE u.tenant_id = \(tenantID) AND u.day BETWEEN '1970-01-01'::date + \(Int32(from.daysSinceUnixEpoch))
                AND '1970-01-01'::date + \(Int32(to.daysSinceUnixEpoch))
              AND (\(after?.model)::text IS NULL OR u.day < '1970-01-01'::date + \((after?.day).map { Int32($0.daysSinceUnixEpoch) })
                OR u.day = '1970-01-01'::date + \((after?.day).map { Int32($0.daysSinceUnixEpoch) }) AND u.model > \(after?.model))
            GROUP BY u.day, u.model ORDER BY u.day DESC, u.model LIMIT \(limit)
            """, lane: .list
        ).mapRows { row throws(PostgresError) in
            UsageRecord(
                day: UsageDay(daysSinceUnixEpoch: Int(try row.decode(0, as: Int32.self))), model: try row.decode(1),
                usage: TokenUsage(inputTokens: try row.decode(2), outputTokens: try row.decode(3)), modelCalls: try row.decode(4))
        }
    }

    /// Tokens of the day, and how many runs workers have in hand: none but the asker's own means that nobody holds a reservation.
    public func tokensUsed(on day: UsageDay) async throws(PostgresError) -> (tokens: Int, runningRuns: Int) {
        let rows = try await query(
            """
            SELECT (SELECT coalesce(sum(u.input_tokens + u.output_tokens), 0)::bigint FROM hsafa.usage_daily u
                    WHERE u.tenant_id = \(tenantID) AND u.day = '1970-01-01'::date + \(Int32(day.daysSinceUnixEpoch))),
                   (SELECT count(*) FROM hsafa.runs r WHERE r.tenant_id = \(tenantID) AND r.status = 'running')
            """)
        guard let row = rows.first else { throw PostgresError(.decoding, "a sum gave no row") }
        return (try row.decode(0), try row.decode(1))
    }

    public func usageNow(_ day: UsageDay) async throws(PostgresError) -> UsageNow {
        let (tokens, runningRuns) = try await tokensUsed(on: day)
        let rows = try await query(
            "SELECT count(*) FROM hsafa.agents a WHERE a.tenant_id = \(tenantID) AND a.deleted_at IS NULL")
        return UsageNow(tokens: tokens, runningRuns: runningRuns, agents: try rows.first?.decode(0) ?? 0)
    }
}
