public import Domain
import FoundationEssentials
public import JSON
public import Postgres

extension EntityID: PostgresEncodable, PostgresDecodable {
    public static var postgresTypeOID: UInt32 { UUID.postgresTypeOID }
    public static var postgresArrayTypeOID: UInt32 { UUID.postgresArrayTypeOID }
    public func encode(into bytes: inout [UInt8]) { uuid.encode(into: &bytes) }
    public init(postgresBinary bytes: UnsafeRawBufferPointer, typeOID: UInt32) throws(PostgresError) {
        self.init(try UUID(postgresBinary: bytes, typeOID: typeOID))
    }
}

extension Timestamp: PostgresEncodable, PostgresDecodable {
    public static var postgresTypeOID: UInt32 { PostgresTimestamp.postgresTypeOID }
    public static var postgresArrayTypeOID: UInt32 { PostgresTimestamp.postgresArrayTypeOID }
    public func encode(into bytes: inout [UInt8]) {
        PostgresTimestamp(microsecondsSinceUnixEpoch: millisecondsSinceUnixEpoch * 1000).encode(into: &bytes)
    }
    public init(postgresBinary bytes: UnsafeRawBufferPointer, typeOID: UInt32) throws(PostgresError) {
        let time = try PostgresTimestamp(postgresBinary: bytes, typeOID: typeOID)
        // Rounds down, also before 1970, so that a stored millisecond comes back as itself.
        let micros = time.microsecondsSinceUnixEpoch
        let milliseconds = micros / 1000 - (micros % 1000 < 0 ? 1 : 0)
        self.init(millisecondsSinceUnixEpoch: milliseconds)
    }
}

/// Text of json and jsonb columns: Postgres vouches for its form.
extension RawJSON: PostgresDecodable {
    public init(postgresBinary bytes: UnsafeRawBufferPointer, typeOID: UInt32) throws(PostgresError) {
        self.init(
            trusted: typeOID == PostgresJSONB.postgresTypeOID
                ? try PostgresJSONB(postgresBinary: bytes, typeOID: typeOID).bytes
                : try PostgresJSON(postgresBinary: bytes, typeOID: typeOID).bytes)
    }
}

extension RawJSON {
    package var json: PostgresJSON { PostgresJSON(bytes) }
    package var jsonb: PostgresJSONB { PostgresJSONB(bytes) }
}

extension PostgresRow {
    /// A text column that holds one of an enumeration's cases.
    package func decodeCase<Case: RawRepresentable>(_ column: Int, as type: Case.Type = Case.self) throws(PostgresError) -> Case
    where Case.RawValue == String {
        let text = try decode(column, as: String.self)
        guard let value = Case(rawValue: text) else {
            throw PostgresError(.decoding, "column \(column) holds \"\(text)\", which is no \(Case.self)")
        }
        return value
    }
}
