public import JSON

/// A secret as lists show it: never its value.
public struct SecretListing: Sendable {
    public let name: String
    public let hosts: [String]
    public let createdAt: String?
    public let updatedAt: String?
    public let json: RawJSON

    init(_ node: JSONNode) throws(HsafaClientError) {
        guard let name = node["name"]?.string else { throw .malformed("A secret without “name”.") }
        self.name = name
        hosts = (node["hosts"]?.elements).map { $0.compactMap(\.string) } ?? []
        createdAt = node["createdAt"]?.string
        updatedAt = node["updatedAt"]?.string
        json = node.rawJSON
    }
}

extension HsafaClient {
    public var secrets: SecretsAPI { SecretsAPI(client: self) }

    public struct SecretsAPI: Sendable {
        let client: HsafaClient

        /// The whole secret; again with the same value it changes nothing.
        ///
        /// - Parameter hosts: where it may be sent: names, `*.` with a name, addresses, each with or without a port.
        public func set(_ name: String, value: String, hosts: [String]) async throws(HsafaClientError) -> SecretListing {
            let body = RawJSON.object { writer in
                writer.field("value", string: value)
                writer.field("hosts", raw: .array { list in for host in hosts { list.string(host) } })
            }
            return try SecretListing(await client.call("PUT", "/api/secrets/\(percentEncode(name))", body: body).root)
        }

        public func list(limit: Int? = nil, cursor: String? = nil) async throws(HsafaClientError) -> Page<SecretListing> {
            try await client.page(
                "/api/secrets", [("limit", limit.map(String.init)), ("cursor", cursor)]
            ) { node throws(HsafaClientError) in try SecretListing(node) }
        }

        public func delete(_ name: String) async throws(HsafaClientError) {
            _ = try await client.call("DELETE", "/api/secrets/\(percentEncode(name))")
        }
    }
}
