public import FoundationEssentials

extension String: PostgresEncodable, PostgresDecodable {
    public static var postgresTypeOID: UInt32 { PostgresType.text }
    public static var postgresArrayTypeOID: UInt32 { PostgresType.textArray }

    public func encode(into bytes: inout [UInt8]) { bytes.append(contentsOf: utf8) }

    /// Text in all its types, JSON, and enums (whose OIDs the server hands out, so any user-defined type is taken as text).
    public init(postgresBinary bytes: UnsafeRawBufferPointer, typeOID: UInt32) throws(PostgresError) {
        var bytes = bytes
        switch typeOID {
        case PostgresType.text, PostgresType.varchar, PostgresType.bpchar, PostgresType.name, PostgresType.char, PostgresType.unknown,
            PostgresType.json, PostgresType.firstUserDefined...:
            break
        case PostgresType.jsonb: bytes = try jsonText(bytes, typeOID, String.self)
        default: throw .mismatch(String.self, typeOID)
        }
        guard let text = String(validating: bytes.bindMemory(to: UInt8.self), as: UTF8.self) else {
            throw PostgresError(.decoding, "a text column does not hold UTF-8")
        }
        self = text
    }
}

/// Binary jsonb is a version byte (1) in front of the text.
private func jsonText<Value>(
    _ bytes: UnsafeRawBufferPointer, _ typeOID: UInt32, _ type: Value.Type
) throws(PostgresError) -> UnsafeRawBufferPointer {
    switch typeOID {
    case PostgresType.json: return bytes
    case PostgresType.jsonb:
        guard bytes.first == 1 else { throw PostgresError(.decoding, "a jsonb value has a version other than 1") }
        return UnsafeRawBufferPointer(rebasing: bytes.dropFirst())
    default: throw .mismatch(type, typeOID)
    }
}

/// JSON text kept byte for byte (type json).
public struct PostgresJSON: Sendable, Hashable, PostgresEncodable, PostgresDecodable {
    public var bytes: [UInt8]
    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    public static var postgresTypeOID: UInt32 { PostgresType.json }
    public static var postgresArrayTypeOID: UInt32 { 199 }

    public func encode(into bytes: inout [UInt8]) { bytes.append(contentsOf: self.bytes) }

    public init(postgresBinary bytes: UnsafeRawBufferPointer, typeOID: UInt32) throws(PostgresError) {
        self.bytes = Array(try jsonText(bytes, typeOID, PostgresJSON.self))
    }
}

/// JSON that the server normalises (type jsonb); the bytes are the text, without the version byte.
public struct PostgresJSONB: Sendable, Hashable, PostgresEncodable, PostgresDecodable {
    public var bytes: [UInt8]
    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    public static var postgresTypeOID: UInt32 { PostgresType.jsonb }
    public static var postgresArrayTypeOID: UInt32 { 3807 }

    public func encode(into bytes: inout [UInt8]) {
        bytes.append(1)
        bytes.append(contentsOf: self.bytes)
    }

    public init(postgresBinary bytes: UnsafeRawBufferPointer, typeOID: UInt32) throws(PostgresError) {
        self.bytes = Array(try jsonText(bytes, typeOID, PostgresJSONB.self))
    }
}

/// Bytes as bytea. ([UInt8] itself is not bindable: it could as well mean an array of numbers.)
public struct PostgresBytea: Sendable, Hashable, PostgresEncodable, PostgresDecodable {
    public var bytes: [UInt8]
    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    public static var postgresTypeOID: UInt32 { PostgresType.bytea }
    public static var postgresArrayTypeOID: UInt32 { 1001 }

    public func encode(into bytes: inout [UInt8]) { bytes.append(contentsOf: self.bytes) }

    public init(postgresBinary bytes: UnsafeRawBufferPointer, typeOID: UInt32) throws(PostgresError) {
        guard typeOID == PostgresType.bytea else { throw .mismatch(PostgresBytea.self, typeOID) }
        self.bytes = Array(bytes)
    }
}

extension UUID: PostgresEncodable, PostgresDecodable {
    public static var postgresTypeOID: UInt32 { PostgresType.uuid }
    public static var postgresArrayTypeOID: UInt32 { 2951 }

    public func encode(into bytes: inout [UInt8]) {
        withUnsafeBytes(of: uuid) { bytes.append(contentsOf: $0) }
    }

    public init(postgresBinary bytes: UnsafeRawBufferPointer, typeOID: UInt32) throws(PostgresError) {
        guard typeOID == PostgresType.uuid else { throw .mismatch(UUID.self, typeOID) }
        guard bytes.count == 16 else { throw .malformed(UUID.self, bytes.count) }
        self.init(uuid: bytes.loadUnaligned(as: uuid_t.self))
    }
}

/// A timestamptz. Int64.max and Int64.min stand for infinity and -infinity.
public struct PostgresTimestamp: Sendable, Hashable, Comparable, PostgresEncodable, PostgresDecodable {
    public var microsecondsSinceUnixEpoch: Int64
    public init(microsecondsSinceUnixEpoch: Int64) { self.microsecondsSinceUnixEpoch = microsecondsSinceUnixEpoch }

    /// Postgres counts from 2000-01-01.
    private static let epochOffset: Int64 = 946_684_800_000_000

    public static var postgresTypeOID: UInt32 { PostgresType.timestamptz }
    public static var postgresArrayTypeOID: UInt32 { 1185 }

    public static func < (left: PostgresTimestamp, right: PostgresTimestamp) -> Bool {
        left.microsecondsSinceUnixEpoch < right.microsecondsSinceUnixEpoch
    }

    public func encode(into bytes: inout [UInt8]) {
        guard microsecondsSinceUnixEpoch != .max else { return bytes.appendBigEndian(Int64.max) }
        let (value, overflow) = microsecondsSinceUnixEpoch.subtractingReportingOverflow(Self.epochOffset)
        bytes.appendBigEndian(overflow ? Int64.min : value)
    }

    public init(postgresBinary bytes: UnsafeRawBufferPointer, typeOID: UInt32) throws(PostgresError) {
        guard typeOID == PostgresType.timestamptz else { throw .mismatch(PostgresTimestamp.self, typeOID) }
        guard bytes.count == 8, let value = bytes.bigEndian(as: Int64.self) else { throw .malformed(PostgresTimestamp.self, bytes.count) }
        guard value != .min else {
            microsecondsSinceUnixEpoch = .min
            return
        }
        let (sum, overflow) = value.addingReportingOverflow(Self.epochOffset)
        microsecondsSinceUnixEpoch = overflow ? .max : sum
    }
}
