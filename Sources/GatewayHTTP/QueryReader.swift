import Domain
import HTTPTypes
import Hummingbird
import Storage

/// Strict reading of a query: each parameter at most once, and `finish()` refuses the ones that nobody asked for.
struct QueryReader {
    private var pairs: [(name: String, value: String)] = []
    private var known: [String] = []

    init(_ request: Request) throws(GatewayError) { try self.init(query: request.uri.query) }

    init(query: String?) throws(GatewayError) {
        guard let query, !query.isEmpty else { return }
        for part in query.utf8.split(separator: UInt8(ascii: "&")) {
            let nameEnd = part.firstIndex(of: UInt8(ascii: "=")) ?? part.endIndex
            guard let name = Self.decode(part[..<nameEnd]), let value = Self.decode(part[nameEnd...].dropFirst()) else {
                throw .invalidQuery("names and values", "must be percent-encoded UTF-8 without U+0000")
            }
            guard !pairs.contains(where: { $0.name == name }) else { throw .invalidQuery(Self.shown(name), "must be given once") }
            pairs.append((name, value))
        }
    }

    mutating func string(_ name: String) -> String? {
        known.append(name)
        return pairs.first { $0.name == name }?.value
    }

    mutating func int(_ name: String, in range: ClosedRange<Int64>) throws(GatewayError) -> Int64? {
        guard let text = string(name) else { return nil }
        guard let value = Int64(text), range.contains(value), text.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }) else {
            let bounds = range.upperBound == .max ? "of at least \(range.lowerBound)" : "from \(range.lowerBound) to \(range.upperBound)"
            throw .invalidQuery(name, "must be an integer \(bounds)")
        }
        return value
    }

    /// One of a kind's values, by its name.
    mutating func choice<Value: RawRepresentable<String> & CaseIterable>(
        _ name: String, of kind: Value.Type = Value.self
    ) throws(GatewayError) -> Value? {
        guard let text = string(name) else { return nil }
        guard let value = Value(rawValue: text) else {
            throw .invalidQuery(name, "must be one of \(Value.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return value
    }

    mutating func id<Entity>(
        _ name: String, as type: EntityID<Entity>.Type = EntityID<Entity>.self
    ) throws(GatewayError) -> EntityID<Entity>? {
        guard let text = string(name) else { return nil }
        guard let id = EntityID<Entity>(text) else { throw .invalidQuery(name, "must be a UUID") }
        return id
    }

    mutating func time(_ name: String) throws(GatewayError) -> Timestamp? {
        guard let text = string(name) else { return nil }
        guard let time = Timestamp(rfc3339: text) else {
            throw .invalidQuery(name, "must be an RFC 3339 time, such as 2026-01-31T09:30:00Z (a + in an offset is written %2B or +)")
        }
        return time
    }

    /// `limit` and `cursor`.
    mutating func page() throws(GatewayError) -> PageRequest {
        let limit = try int("limit", in: 1...Int64(Limits.maxPageSize)) ?? Int64(Limits.defaultPageSize)
        return PageRequest(limit: Int(limit), cursor: string("cursor"))
    }

    func finish() throws(GatewayError) {
        for pair in pairs where !known.contains(pair.name) {
            let parameters = known.isEmpty ? "there are none" : "known: \(known.joined(separator: ", "))"
            throw .invalidQuery(Self.shown(pair.name), "is not known here; \(parameters)")
        }
    }

    /// For operations that take no parameters.
    static func refuseAny(_ request: Request) throws(GatewayError) {
        guard request.uri.query != nil else { return }
        try QueryReader(request).finish()
    }

    static func refuseAny(_ head: HTTPRequest) throws(GatewayError) {
        guard let path = head.path, let mark = path.utf8.firstIndex(of: UInt8(ascii: "?")) else { return }
        try QueryReader(query: String(path[path.index(after: mark)...])).finish()
    }

    /// The name is the caller's: it is cut before it is repeated.
    private static func shown(_ name: String) -> String { String(name.unicodeScalars.prefix(64)) }

    /// RFC 3986 §2.1; `+` is a plus sign. nil for what is no text.
    private static func decode(_ text: Substring.UTF8View) -> String? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var iterator = text.makeIterator()
        while let byte = iterator.next() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = iterator.next().flatMap(digit), let low = iterator.next().flatMap(digit) else { return nil }
            bytes.append(high << 4 | low)
        }
        // No text of the database can hold U+0000.
        return bytes.contains(0) ? nil : String(validating: bytes, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 48...57: byte - 48
        case 65...70: byte - 55
        case 97...102: byte - 87
        default: nil
        }
    }
}

extension Parameters {
    /// An id in the path. What is no UUID names nothing: the same 404 as for an id that is unknown.
    func id<Entity>(_ name: String, _ what: String, as type: EntityID<Entity>.Type = EntityID<Entity>.self) throws(GatewayError)
        -> EntityID<Entity>
    {
        guard let text = self[name[...]], let id = EntityID<Entity>(text) else { throw .notFound(what) }
        return id
    }
}
