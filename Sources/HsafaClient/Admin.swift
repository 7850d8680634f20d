public import JSON

public struct Tenant: Sendable {
    public let tenantId: String
    public let slug: String
    public let name: String
    /// active or suspended.
    public let status: String
    public let createdAt: String?
    /// Those in which it differs from the gateway's configuration, by their names in JSON: `requestsPerSecond` and so on.
    public let limits: [String: Int]
    public let json: RawJSON

    init(_ node: JSONNode) throws(HsafaClientError) {
        guard let id = node["tenantId"]?.string, let slug = node["slug"]?.string else {
            throw .malformed("A tenant without “tenantId” and “slug”.")
        }
        tenantId = id
        self.slug = slug
        name = node["name"]?.string ?? ""
        status = node["status"]?.string ?? ""
        createdAt = node["createdAt"]?.string
        var limits: [String: Int] = [:]
        if let node = node["limits"] { for (name, value) in node.members { limits[name] = value.int } }
        self.limits = limits
        json = node.rawJSON
    }
}

extension HsafaClient {
    /// For holders of an admin's key.
    public var admin: AdminAPI { AdminAPI(client: self) }

    public struct AdminAPI: Sendable {
        let client: HsafaClient

        private static let path = "/api/admin/tenants"
        private func path(_ tenantId: String) -> String { "\(Self.path)/\(percentEncode(tenantId))" }

        /// The slug is for life; `name` nil: the slug.
        public func createTenant(slug: String, name: String? = nil) async throws(HsafaClientError) -> Tenant {
            let body = RawJSON.object { writer in
                writer.field("slug", string: slug)
                writer.field("name", stringIfPresent: name)
            }
            return try Tenant(await client.call("POST", Self.path, body: body).root)
        }

        public func tenants(
            status: String? = nil, limit: Int? = nil, cursor: String? = nil
        ) async throws(HsafaClientError) -> Page<Tenant> {
            try await client.page(
                Self.path, [("status", status), ("limit", limit.map(String.init)), ("cursor", cursor)]
            ) { node throws(HsafaClientError) in try Tenant(node) }
        }

        public func tenant(_ tenantId: String) async throws(HsafaClientError) -> Tenant {
            try Tenant(await client.call("GET", path(tenantId)).root)
        }

        public func rename(_ tenantId: String, name: String) async throws(HsafaClientError) -> Tenant {
            let body = RawJSON.object { $0.field("name", string: name) }
            return try Tenant(await client.call("PATCH", path(tenantId), body: body).root)
        }

        /// A number sets a limit of the tenant, nil gives it back to the gateway's configuration, and what is absent stays. Gateways that run
        /// take it up within seconds.
        public func changeLimits(_ tenantId: String, _ changes: [String: Int?]) async throws(HsafaClientError) -> Tenant {
            let body = RawJSON.object { writer in
                writer.key("limits")
                writer.beginObject()
                for (name, value) in changes.sorted(by: { $0.key < $1.key }) {
                    writer.key(name)
                    if let value { writer.int(value) } else { writer.null() }
                }
                writer.endObject()
            }
            return try Tenant(await client.call("PATCH", path(tenantId), body: body).root)
        }

        /// Its keys get 403, its streams and sockets end, its runs pause.
        public func suspend(_ tenantId: String, reason: String? = nil) async throws(HsafaClientError) -> Tenant {
            try await change(tenantId, "suspend", reason)
        }

        public func resume(_ tenantId: String, reason: String? = nil) async throws(HsafaClientError) -> Tenant {
            try await change(tenantId, "resume", reason)
        }

        private func change(_ tenantId: String, _ verb: String, _ reason: String?) async throws(HsafaClientError) -> Tenant {
            let body = RawJSON.object { $0.field("reason", stringIfPresent: reason) }
            return try Tenant(await client.call("POST", "\(path(tenantId))/\(verb)", body: body).root)
        }

        /// Keys of one tenant.
        public func keys(of tenantId: String) -> KeysAPI { KeysAPI(client: client, path: path(tenantId) + "/keys") }

        /// Of all tenants, or of one; newest first.
        public func audit(
            tenantId: String? = nil, _ query: AuditQuery = AuditQuery(), limit: Int? = nil, cursor: String? = nil
        ) async throws(HsafaClientError) -> Page<AuditRow> {
            try await client.page(
                "/api/admin/audit",
                [("tenantId", tenantId)] + query.items + [("limit", limit.map(String.init)), ("cursor", cursor)]
            ) { node throws(HsafaClientError) in try AuditRow(node) }
        }
    }
}
