import CLibPQ

extension Connection {
    private static let scopeSQL = SQL(
        unsafeSQL: "SELECT set_config($1, $2, true)",
        parameters: [PostgresValue(typeOID: PostgresType.text, bytes: nil), PostgresValue(typeOID: PostgresType.text, bytes: nil)])
    /// Statements let go with one group.
    private static let deallocationsPerGroup = 8

    /// Puts the whole group and its Sync into the pipeline. False when the connection cannot take it: it is lost.
    func send(_ group: Group, now: Int64) -> Bool {
        guard let handle else { return false }
        append(group, now: now)
        // In an aborted transaction anything but its end fails, and would take the ROLLBACK with it.
        if lease?.failure == nil, !group.endsTransaction {
            for statement in cache.takeEvicted(limit: Self.deallocationsPerGroup) {
                group.operations.append(.deallocate(statement))
                guard PQsendQueryParams(handle, "DEALLOCATE \(statement.name)", 0, nil, nil, nil, nil, 1) == 1 else { return false }
            }
        }
        for (index, segment) in group.segments.enumerated() {
            let isSent: Bool
            switch segment.kind {
            case .statement: isSent = sendScope(segment, group) && sendStatement(segment, index, group)
            case .begin: isSent = sendStatement(segment, index, group) && sendScope(segment, group)
            case .within, .end: isSent = sendStatement(segment, index, group)
            }
            guard isSent else { return false }
        }
        return PQpipelineSync(handle) == 1
    }

    /// In a shared transaction the scope of the segment before still stands, so a segment without one sets ''.
    private func sendScope(_ segment: Segment, _ group: Group) -> Bool {
        guard let setting = configuration.scopeSetting else { return true }
        let statement: PreparedStatement
        if let known = scopeStatement {
            statement = known
        } else {
            statement = PreparedStatement(name: "scope", key: StatementKey(sql: Self.scopeSQL))
            // Parse replaces no named statement: one that exists under this name is confirmed, so it is not sent again.
            guard prepare(statement, group) else { return false }
            scopeStatement = statement
        }
        group.operations.append(.scope(statement))
        let parameters = [PostgresValue(setting), PostgresValue(segment.scope ?? "")]
        return execute(statement, parameters)
    }

    private func sendStatement(_ segment: Segment, _ index: Int, _ group: Group) -> Bool {
        let (statement, isNew) = cache.statement(for: segment.sql)
        if isNew, !prepare(statement, group) { return false }
        group.operations.append(.execute(statement, segment: index))
        return execute(statement, segment.sql.parameters)
    }

    private func prepare(_ statement: PreparedStatement, _ group: Group) -> Bool {
        group.operations.append(.prepare(statement))
        let types = statement.key.sql.parameters.map(\.typeOID)
        return PQsendPrepare(handle, statement.name, statement.key.sql.text, Int32(clamping: types.count), types) == 1
    }

    private func execute(_ statement: PreparedStatement, _ parameters: [PostgresValue]) -> Bool {
        arena.withLayout(of: parameters) { count, values, lengths, formats in
            PQsendQueryPrepared(handle, statement.name, count, values, lengths, formats, 1) == 1
        }
    }

    /// Nil when the connection is lost, else whether bytes are still to be written.
    func flush() -> Bool? {
        guard let handle else { return nil }
        switch PQflush(handle) {
        case 0: return false
        case 1: return true
        default: return nil
        }
    }
}

extension Group {
    var endsTransaction: Bool {
        if case .end? = segments.first?.kind { return true }
        return false
    }
}
