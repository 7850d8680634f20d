import Domain
import HTTPTypes
import Hummingbird
import JSON
import NIOCore

/// Reading of request bodies: `application/json`, bounded, strict.
enum JSONBody {
    /// 415, 413 or 400 when it is none.
    static func read(_ request: Request, maxBytes: Int = Limits.maxBodyBytes) async throws -> JSONDocument {
        try requireJSON(request.headers)
        return try document(try await collect(request, maxBytes: maxBytes))
    }

    /// nil when the request has no body.
    static func readIfPresent(_ request: Request, maxBytes: Int = Limits.maxBodyBytes) async throws -> JSONDocument? {
        let length = request.headers[.contentLength]
        if length == nil || length == "0", request.headers[.transferEncoding] == nil { return nil }
        // A chunked body may turn out to be empty; only then its type does not matter.
        let bytes = try await collect(request, maxBytes: maxBytes)
        guard !bytes.isEmpty else { return nil }
        try requireJSON(request.headers)
        return try document(bytes)
    }

    static func document(_ bytes: [UInt8]) throws(GatewayError) -> JSONDocument {
        do {
            return try JSONDocument(parsing: bytes, limits: JSONLimits(maxDepth: Limits.maxJSONDepth, maxBytes: max(1, bytes.count)))
        } catch {
            throw .malformedJSON(error)
        }
    }

    static func requireJSON(_ headers: HTTPFields) throws(GatewayError) {
        guard isJSON(headers[.contentType]) else {
            throw GatewayError(status: 415, code: "unsupported_media_type", detail: "Send the body as `Content-Type: application/json`.")
        }
        guard headers[.contentEncoding].map({ $0.lowercased() == "identity" }) ?? true else {
            throw GatewayError(
                status: 415, code: "unsupported_content_encoding", detail: "Send the body as it is: no Content-Encoding is understood.")
        }
    }

    /// Parameters may follow, but no other charset than UTF-8 (RFC 8259 §8.1).
    static func isJSON(_ contentType: String?) -> Bool {
        guard let contentType else { return false }
        if contentType == "application/json" { return true }
        let parts = contentType.lowercased().split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" && $0 != "\"" } }
        return parts.first == "application/json" && parts.dropFirst().allSatisfy { !$0.hasPrefix("charset=") || $0 == "charset=utf-8" }
    }

    /// The whole body; 413 when it is larger.
    static func collect(_ request: Request, maxBytes: Int) async throws -> [UInt8] {
        let announced = request.headers[.contentLength].flatMap { Int($0) } ?? 0
        guard announced <= maxBytes else { throw GatewayError.tooLarge("The body", maxBytes: maxBytes) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(announced)
        var parts = request.body.makeAsyncIterator()
        while let part = try await next(&parts) {
            guard bytes.count + part.readableBytes <= maxBytes else { throw GatewayError.tooLarge("The body", maxBytes: maxBytes) }
            bytes.append(contentsOf: part.readableBytesView)
        }
        return bytes
    }

    /// What breaks a body off is the connection's matter: it has answered, or the client has gone.
    private static func next(_ parts: inout RequestBody.AsyncIterator) async throws -> ByteBuffer? {
        do { return try await parts.next() } catch let error as ConnectionAnswered { throw error } catch {
            try Task.checkCancellation()
            throw ConnectionAnswered.clientGone
        }
    }
}

extension JSONObjectReader {
    /// A UUID that names something in the body; 422 when it is none.
    mutating func id<Entity>(_ key: String, as type: EntityID<Entity>.Type = EntityID<Entity>.self) throws -> EntityID<Entity> {
        guard let id = try optionalID(key, as: type) else { throw JSONViolation(pointer: pointer(to: key), message: "is required") }
        return id
    }

    mutating func optionalID<Entity>(
        _ key: String, as type: EntityID<Entity>.Type = EntityID<Entity>.self
    ) throws(JSONViolation) -> EntityID<Entity>? {
        guard let text = try optionalString(key, maxBytes: 64) else { return nil }
        guard let id = EntityID<Entity>(text) else { throw JSONViolation(pointer: pointer(to: key), message: "must be a UUID") }
        return id
    }

    /// Any JSON object of at most `Limits.maxMetadataBytes`.
    mutating func optionalMetadata(_ key: String = "metadata") throws(JSONViolation) -> RawJSON? {
        guard let node = try optionalNode(key) else { return nil }
        guard node.kind == .object else { throw JSONViolation(pointer: pointer(to: key), message: "must be an object") }
        guard node.raw.count <= Limits.maxMetadataBytes else {
            throw JSONViolation(pointer: pointer(to: key), message: "must be at most \(Limits.maxMetadataBytes) bytes of JSON")
        }
        // What has no canonical form (`\u0000`, a number beyond a double) the database could not keep.
        guard (try? node.canonical()) != nil else {
            throw JSONViolation(pointer: pointer(to: key), message: "must hold no \\u0000 and no number beyond a double")
        }
        return node.rawJSON
    }
}

/// Reads a body where existence must be answered first: a body that is wrong is told only to those who may see the thing it is about.
func afterExistence<Value>(_ exists: () async throws -> Void, _ read: () async throws -> Value) async throws -> Value {
    do { return try await read() } catch {
        try await exists()
        throw error
    }
}
