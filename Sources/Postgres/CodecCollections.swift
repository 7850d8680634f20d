extension Optional: PostgresDecodable where Wrapped: PostgresDecodable {
    public init(postgresBinary bytes: UnsafeRawBufferPointer, typeOID: UInt32) throws(PostgresError) {
        self = .some(try Wrapped(postgresBinary: bytes, typeOID: typeOID))
    }

    public static func decodePostgresNull() throws(PostgresError) -> Wrapped? { nil }
}

extension Array: PostgresEncodable where Element: PostgresEncodable {
    public static var postgresTypeOID: UInt32 { Element.postgresArrayTypeOID }
    /// Postgres has no type for arrays of arrays; 0 lets the server refuse it.
    public static var postgresArrayTypeOID: UInt32 { 0 }

    public func encode(into bytes: inout [UInt8]) {
        PostgresArrayFormat.appendHeader(elementOID: Element.postgresTypeOID, count: count, hasNull: false, into: &bytes)
        for element in self { PostgresArrayFormat.append(element, into: &bytes) }
    }
}

extension Array: PostgresDecodable where Element: PostgresDecodable {
    public init(postgresBinary bytes: UnsafeRawBufferPointer, typeOID: UInt32) throws(PostgresError) {
        guard let reader = PostgresArrayFormat.Reader(bytes) else { throw .malformed(Self.self, bytes.count) }
        guard reader.dimensions <= 1 else {
            throw PostgresError(.decoding, "an array of \(reader.dimensions) dimensions cannot be read; only one is supported")
        }
        var elements: [Element] = []
        elements.reserveCapacity(reader.count)
        var rest = reader
        for _ in 0..<reader.count {
            switch rest.next() {
            case .malformed: throw .malformed(Self.self, bytes.count)
            case .null: elements.append(try Element.decodePostgresNull())
            case .value(let value): elements.append(try Element(postgresBinary: value, typeOID: reader.elementOID))
            }
        }
        self = elements
    }
}

/// array_send/array_recv: dimensions, has-null flag, element OID, then per dimension length and lower bound, then per element
/// its length (-1 is NULL) and bytes; all integers are 4 bytes.
enum PostgresArrayFormat {
    static func encode<Element: PostgresEncodable>(_ elements: [Element?]) -> [UInt8] {
        var bytes: [UInt8] = []
        appendHeader(
            elementOID: Element.postgresTypeOID, count: elements.count, hasNull: elements.contains { $0 == nil }, into: &bytes)
        for element in elements {
            if let element { append(element, into: &bytes) } else { bytes.appendBigEndian(Int32(-1)) }
        }
        return bytes
    }

    static func appendHeader(elementOID: UInt32, count: Int, hasNull: Bool, into bytes: inout [UInt8]) {
        bytes.appendBigEndian(Int32(count == 0 ? 0 : 1))
        bytes.appendBigEndian(Int32(hasNull ? 1 : 0))
        bytes.appendBigEndian(elementOID)
        guard count > 0 else { return }
        bytes.appendBigEndian(Int32(clamping: count))
        bytes.appendBigEndian(Int32(1))
    }

    static func append<Element: PostgresEncodable>(_ element: Element, into bytes: inout [UInt8]) {
        let start = bytes.count
        bytes.appendBigEndian(Int32(0))
        element.encode(into: &bytes)
        withUnsafeBytes(of: Int32(clamping: bytes.count - start - 4).bigEndian) { length in
            for index in 0..<4 { bytes[start + index] = length[index] }
        }
    }

    enum Item {
        case null, value(UnsafeRawBufferPointer), malformed
    }

    struct Reader {
        let bytes: UnsafeRawBufferPointer
        let dimensions: Int
        let count: Int
        let elementOID: UInt32
        private var offset: Int

        init?(_ bytes: UnsafeRawBufferPointer) {
            guard let dimensions = bytes.bigEndian(at: 0, as: Int32.self), dimensions >= 0,
                let elementOID = bytes.bigEndian(at: 8, as: UInt32.self)
            else { return nil }
            var count = 0
            if dimensions > 0 {
                // Each element takes four bytes at least: a count beyond that is a lie.
                guard let length = bytes.bigEndian(at: 12, as: Int32.self), length >= 0, Int(length) <= bytes.count / 4 else { return nil }
                count = Int(length)
            }
            self.bytes = bytes
            self.dimensions = Int(dimensions)
            self.count = count
            self.elementOID = elementOID
            offset = 12 + 8 * Int(dimensions)
        }

        mutating func next() -> Item {
            guard let length = bytes.bigEndian(at: offset, as: Int32.self) else { return .malformed }
            offset += 4
            if length < 0 { return .null }
            guard Int(length) <= bytes.count - offset else { return .malformed }
            defer { offset += Int(length) }
            return .value(UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + Int(length)]))
        }
    }
}
