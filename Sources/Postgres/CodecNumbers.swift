extension Bool: PostgresEncodable, PostgresDecodable {
    public static var postgresTypeOID: UInt32 { PostgresType.bool }
    public static var postgresArrayTypeOID: UInt32 { 1000 }

    public func encode(into bytes: inout [UInt8]) { bytes.append(self ? 1 : 0) }

    public init(postgresBinary bytes: UnsafeRawBufferPointer, typeOID: UInt32) throws(PostgresError) {
        guard typeOID == PostgresType.bool else { throw .mismatch(Bool.self, typeOID) }
        guard bytes.count == 1 else { throw .malformed(Bool.self, bytes.count) }
        self = bytes[0] != 0
    }
}

/// Integers decode from any integer type that fits into them without looking at the value.
private func decodeInteger<Integer: FixedWidthInteger>(
    _ type: Integer.Type, _ bytes: UnsafeRawBufferPointer, _ typeOID: UInt32
) throws(PostgresError) -> Integer {
    let value: Integer?
    switch typeOID {
    case PostgresType.int2 where bytes.count == 2: value = bytes.bigEndian(as: Int16.self).map { Integer(truncatingIfNeeded: $0) }
    case PostgresType.int4 where bytes.count == 4 && Integer.bitWidth >= 32:
        value = bytes.bigEndian(as: Int32.self).map { Integer(truncatingIfNeeded: $0) }
    case PostgresType.oid where bytes.count == 4 && Integer.bitWidth >= 64:
        value = bytes.bigEndian(as: UInt32.self).map { Integer(truncatingIfNeeded: $0) }
    case PostgresType.int8 where bytes.count == 8 && Integer.bitWidth >= 64:
        value = bytes.bigEndian(as: Int64.self).map { Integer(truncatingIfNeeded: $0) }
    default: throw .mismatch(type, typeOID)
    }
    guard let value else { throw .malformed(type, bytes.count) }
    return value
}

extension Int16: PostgresEncodable, PostgresDecodable {
    public static var postgresTypeOID: UInt32 { PostgresType.int2 }
    public static var postgresArrayTypeOID: UInt32 { 1005 }

    public func encode(into bytes: inout [UInt8]) { bytes.appendBigEndian(self) }

    public init(postgresBinary bytes: UnsafeRawBufferPointer, typeOID: UInt32) throws(PostgresError) {
        self = try decodeInteger(Int16.self, bytes, typeOID)
    }
}

extension Int32: PostgresEncodable, PostgresDecodable {
    public static var postgresTypeOID: UInt32 { PostgresType.int4 }
    public static var postgresArrayTypeOID: UInt32 { 1007 }

    public func encode(into bytes: inout [UInt8]) { bytes.appendBigEndian(self) }

    public init(postgresBinary bytes: UnsafeRawBufferPointer, typeOID: UInt32) throws(PostgresError) {
        self = try decodeInteger(Int32.self, bytes, typeOID)
    }
}

extension Int64: PostgresEncodable, PostgresDecodable {
    public static var postgresTypeOID: UInt32 { PostgresType.int8 }
    public static var postgresArrayTypeOID: UInt32 { 1016 }

    public func encode(into bytes: inout [UInt8]) { bytes.appendBigEndian(self) }

    public init(postgresBinary bytes: UnsafeRawBufferPointer, typeOID: UInt32) throws(PostgresError) {
        self = try decodeInteger(Int64.self, bytes, typeOID)
    }
}

extension Int: PostgresEncodable, PostgresDecodable {
    public static var postgresTypeOID: UInt32 { PostgresType.int8 }
    public static var postgresArrayTypeOID: UInt32 { 1016 }

    public func encode(into bytes: inout [UInt8]) { bytes.appendBigEndian(Int64(self)) }

    public init(postgresBinary bytes: UnsafeRawBufferPointer, typeOID: UInt32) throws(PostgresError) {
        self = try decodeInteger(Int.self, bytes, typeOID)
    }
}

extension Double: PostgresEncodable, PostgresDecodable {
    public static var postgresTypeOID: UInt32 { PostgresType.float8 }
    public static var postgresArrayTypeOID: UInt32 { 1022 }

    public func encode(into bytes: inout [UInt8]) { bytes.appendBigEndian(bitPattern) }

    public init(postgresBinary bytes: UnsafeRawBufferPointer, typeOID: UInt32) throws(PostgresError) {
        switch (typeOID, bytes.count) {
        case (PostgresType.float8, 8): self = Double(bitPattern: bytes.bigEndian() ?? 0)
        case (PostgresType.float4, 4): self = Double(Float(bitPattern: bytes.bigEndian() ?? 0))
        case (PostgresType.float8, _), (PostgresType.float4, _): throw .malformed(Double.self, bytes.count)
        default: throw .mismatch(Double.self, typeOID)
        }
    }
}
