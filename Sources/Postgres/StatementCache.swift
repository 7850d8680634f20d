/// A server-side statement of one connection.
final class PreparedStatement {
    /// Never used twice on a connection.
    let name: String
    let key: StatementKey
    /// The server confirmed it and did not deallocate it since.
    var exists = false
    var lastUse: UInt64 = 0

    init(name: String, key: StatementKey) {
        self.name = name
        self.key = key
    }
}

/// Equal text and equal parameter types are one statement.
struct StatementKey: Hashable {
    let sql: SQL

    static func == (left: StatementKey, right: StatementKey) -> Bool {
        left.sql.text == right.sql.text && left.sql.parameters.count == right.sql.parameters.count
            && zip(left.sql.parameters, right.sql.parameters).allSatisfy { $0.typeOID == $1.typeOID }
    }

    func hash(into hasher: inout Hasher) { hasher.combine(sql.text) }

    /// Without the values, which must not outlive their caller.
    var withoutValues: StatementKey {
        StatementKey(
            sql: SQL(unsafeSQL: sql.text, parameters: sql.parameters.map { PostgresValue(typeOID: $0.typeOID, bytes: nil) }))
    }
}

/// The statements of one connection, least recently used out first.
///
/// A statement prepared in a pipeline that fails later still exists; one whose own Parse failed or was skipped does not. So an entry
/// counts as existing only from its confirmation on, and is dropped when that does not come.
struct StatementCache {
    private var entries: [StatementKey: PreparedStatement] = [:]
    /// Out of the cache, still on the server.
    private var evicted: [PreparedStatement] = []
    private var clock: UInt64 = 0
    private let capacity: Int

    init(capacity: Int) { self.capacity = max(4, capacity) }

    var count: Int { entries.count }

    /// `isNew` means that Parse has to go first.
    mutating func statement(for sql: SQL) -> (statement: PreparedStatement, isNew: Bool) {
        clock += 1
        let key = StatementKey(sql: sql)
        if let known = entries[key] {
            known.lastUse = clock
            return (known, false)
        }
        if entries.count >= capacity, let oldest = entries.values.min(by: { $0.lastUse < $1.lastUse }) { evict(oldest) }
        let statement = PreparedStatement(name: "s\(clock)", key: key.withoutValues)
        statement.lastUse = clock
        entries[statement.key] = statement
        return (statement, true)
    }

    /// The next use prepares anew; the server's copy goes with the next group.
    mutating func evict(_ statement: PreparedStatement) {
        guard entries[statement.key] === statement else { return }
        forget(statement)
        evicted.append(statement)
    }

    /// The server does not have it.
    mutating func forget(_ statement: PreparedStatement) {
        if entries[statement.key] === statement { entries[statement.key] = nil }
    }

    /// To be deallocated now: only what is confirmed to exist, for DEALLOCATE of anything else would fail its group.
    mutating func takeEvicted(limit: Int) -> [PreparedStatement] {
        guard !evicted.isEmpty else { return [] }
        var taken: [PreparedStatement] = []
        evicted.removeAll { statement in
            guard statement.exists, taken.count < limit else { return false }
            taken.append(statement)
            return true
        }
        return taken
    }

    /// Its DEALLOCATE was skipped or its Parse never came through.
    mutating func deallocationFailed(_ statement: PreparedStatement) {
        if statement.exists { evicted.append(statement) }
    }

    /// Parse of `statement` failed or was skipped.
    mutating func preparationFailed(_ statement: PreparedStatement) {
        forget(statement)
        evicted.removeAll { $0 === statement }
    }
}
