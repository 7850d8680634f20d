public import JSON

/// A key as lists show it: never its secret.
public struct Key: Sendable {
    public let keyId: String
    public let name: String
    /// active, expired or revoked.
    public let status: String
    public let scopes: [String]
    public let createdAt: String?
    public let expiresAt: String?
    public let lastUsedAt: String?
    public let json: RawJSON

    init(_ node: JSONNode) throws(HsafaClientError) {
        guard let id = node["keyId"]?.string else { throw .malformed("A key without “keyId”.") }
        keyId = id
        name = node["name"]?.string ?? ""
        status = node["status"]?.string ?? ""
        scopes = (node["scopes"]?.elements).map { $0.compactMap(\.string) } ?? []
        createdAt = node["createdAt"]?.string
        expiresAt = node["expiresAt"]?.string
        lastUsedAt = node["lastUsedAt"]?.string
        json = node.rawJSON
    }
}

/// `text` is shown this once.
public struct IssuedKey: Sendable {
    public let text: String
    public let key: Key
    public let json: RawJSON

    init(_ answer: HsafaClient.Answer) throws(HsafaClientError) {
        text = try answer.string("key")
        key = try Key(answer.root)
        json = answer.json
    }
}

extension HsafaClient {
    /// Keys of the tenant whose key this client has.
    public var keys: KeysAPI { KeysAPI(client: self, path: "/api/keys") }

    public struct KeysAPI: Sendable {
        let client: HsafaClient
        let path: String

        /// - Parameter expiresAt: RFC 3339; nil: when the issuing key does.
        public func create(name: String, scopes: [String], expiresAt: String? = nil) async throws(HsafaClientError) -> IssuedKey {
            let body = RawJSON.object { writer in
                writer.field("name", string: name)
                writer.field("scopes", raw: .array { list in for scope in scopes { list.string(scope) } })
                writer.field("expiresAt", stringIfPresent: expiresAt)
            }
            return try IssuedKey(await client.call("POST", path, body: body))
        }

        public func list(limit: Int? = nil, cursor: String? = nil) async throws(HsafaClientError) -> Page<Key> {
            try await client.page(path, [("limit", limit.map(String.init)), ("cursor", cursor)]) { node throws(HsafaClientError) in
                try Key(node)
            }
        }

        /// A new secret under the same id; the one before is good for the overlap.
        public func rotate(
            _ keyId: String, overlapSeconds: Int? = nil, expiresAt: String? = nil
        ) async throws(HsafaClientError) -> IssuedKey {
            let body = RawJSON.object { writer in
                if let overlapSeconds { writer.field("overlapSeconds", int: overlapSeconds) }
                writer.field("expiresAt", stringIfPresent: expiresAt)
            }
            return try IssuedKey(await client.call("POST", "\(path)/\(percentEncode(keyId))/rotate", body: body))
        }

        /// At once and for good; asking again changes nothing.
        public func revoke(_ keyId: String) async throws(HsafaClientError) {
            _ = try await client.call("DELETE", "\(path)/\(percentEncode(keyId))")
        }
    }
}
