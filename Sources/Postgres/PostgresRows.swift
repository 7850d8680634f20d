import CLibPQ

/// Owns one PGresult.
// libpq hands a result over complete and nothing here changes it until deinit, so any thread may read it.
final class ResultBox: @unchecked Sendable {
    let raw: OpaquePointer
    let rowCount: Int32
    let columnCount: Int32

    init(_ raw: OpaquePointer) {
        self.raw = raw
        rowCount = PQntuples(raw)
        columnCount = PQnfields(raw)
    }

    deinit { PQclear(raw) }
}

/// The rows of one statement, read in place from libpq's buffer.
public struct PostgresRows: Sendable, RandomAccessCollection {
    let result: ResultBox

    public var startIndex: Int { 0 }
    public var endIndex: Int { Int(result.rowCount) }

    public subscript(position: Int) -> PostgresRow {
        precondition(position >= 0 && position < Int(result.rowCount), "row \(position) of \(result.rowCount)")
        return PostgresRow(result: result, row: Int32(position))
    }

    /// Rows inserted, updated, deleted or selected, as the command tag says; 0 for other commands.
    public var affected: Int {
        PQcmdTuples(result.raw).flatMap { Int(String(cString: $0)) } ?? 0
    }

    /// Such as "COMMIT" or "INSERT 0 1".
    var commandTag: String { PQcmdStatus(result.raw).map { String(cString: $0) } ?? "" }

    /// Names of the columns, in order.
    public var columns: [String] {
        (0..<result.columnCount).map { PQfname(result.raw, $0).map { String(cString: $0) } ?? "" }
    }
}

public struct PostgresRow: Sendable {
    let result: ResultBox
    let row: Int32

    /// `T` may be Optional; NULL for any other type is a `.decoding` error.
    public func decode<T: PostgresDecodable>(_ column: Int, as type: T.Type = T.self) throws(PostgresError) -> T {
        guard column >= 0, column < Int(result.columnCount) else {
            throw PostgresError(.decoding, "column \(column) was asked for, the statement returned \(result.columnCount)")
        }
        let column = Int32(column)
        if PQgetisnull(result.raw, row, column) != 0 {
            do { return try T.decodePostgresNull() } catch { throw error.inColumn(result, column) }
        }
        let bytes = UnsafeRawBufferPointer(start: PQgetvalue(result.raw, row, column), count: Int(PQgetlength(result.raw, row, column)))
        do { return try T(postgresBinary: bytes, typeOID: PQftype(result.raw, column)) } catch { throw error.inColumn(result, column) }
    }
}

extension PostgresError {
    /// Says which column it was.
    fileprivate func inColumn(_ result: ResultBox, _ column: Int32) -> PostgresError {
        let name = PQfname(result.raw, column).map { String(cString: $0) } ?? ""
        return PostgresError(code, "column \(column) (\(name)): \(message)")
    }
}
