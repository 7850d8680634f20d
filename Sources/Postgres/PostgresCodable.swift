/// A value that can be bound to a statement in binary format.
public protocol PostgresEncodable: Sendable {
    static var postgresTypeOID: UInt32 { get }
    static var postgresArrayTypeOID: UInt32 { get }
    func encode(into bytes: inout [UInt8])
}

/// A value that can be read from a binary column.
public protocol PostgresDecodable {
    init(postgresBinary bytes: UnsafeRawBufferPointer, typeOID: UInt32) throws(PostgresError)
    /// What NULL means: an error, except for an Optional.
    static func decodePostgresNull() throws(PostgresError) -> Self
}

extension PostgresDecodable {
    public static func decodePostgresNull() throws(PostgresError) -> Self {
        throw PostgresError(.decoding, "found NULL where \(Self.self) was asked for")
    }
}

/// OIDs of built-in types (pg_type.dat); they never change.
enum PostgresType {
    static let bool: UInt32 = 16
    static let bytea: UInt32 = 17
    static let char: UInt32 = 18
    static let name: UInt32 = 19
    static let int8: UInt32 = 20
    static let int2: UInt32 = 21
    static let int4: UInt32 = 23
    static let text: UInt32 = 25
    static let oid: UInt32 = 26
    static let json: UInt32 = 114
    static let float4: UInt32 = 700
    static let float8: UInt32 = 701
    static let unknown: UInt32 = 705
    static let bpchar: UInt32 = 1042
    static let varchar: UInt32 = 1043
    static let timestamp: UInt32 = 1114
    static let timestamptz: UInt32 = 1184
    static let uuid: UInt32 = 2950
    static let jsonb: UInt32 = 3802

    static let textArray: UInt32 = 1009
    /// Types made by users (enums, domains' bases, extensions) begin here.
    static let firstUserDefined: UInt32 = 16_384
}

extension PostgresError {
    static func mismatch<Value>(_ type: Value.Type, _ typeOID: UInt32) -> PostgresError {
        PostgresError(.decoding, "a column of type OID \(typeOID) cannot be read as \(type)")
    }

    static func malformed<Value>(_ type: Value.Type, _ byteCount: Int) -> PostgresError {
        PostgresError(.decoding, "\(byteCount) bytes are not a binary \(type)")
    }
}

extension [UInt8] {
    mutating func appendBigEndian<Integer: FixedWidthInteger>(_ value: Integer) {
        Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
    }
}

extension UnsafeRawBufferPointer {
    /// Nil unless all bytes of the integer are there.
    func bigEndian<Integer: FixedWidthInteger & BitwiseCopyable>(at offset: Int = 0, as type: Integer.Type = Integer.self) -> Integer? {
        guard offset >= 0, count - offset >= MemoryLayout<Integer>.size else { return nil }
        return Integer(bigEndian: loadUnaligned(fromByteOffset: offset, as: Integer.self))
    }
}
