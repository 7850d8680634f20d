public import JSON

/// A row of the audit log.
public struct AuditRow: Sendable {
    public let at: String
    public let action: String
    /// `key 0198…`, `admin 0198…`, `operator root` …
    public let actor: String
    public let target: String
    public let address: String?
    public let tenantId: String?
    public let json: RawJSON

    init(_ node: JSONNode) throws(HsafaClientError) {
        guard let at = node["at"]?.string, let action = node["action"]?.string else {
            throw .malformed("A row of the audit log without “at” and “action”.")
        }
        self.at = at
        self.action = action
        actor = Self.party(node["actor"])
        target = Self.party(node["target"])
        address = node["address"]?.string
        tenantId = node["tenantId"]?.string
        json = node.rawJSON
    }

    private static func party(_ node: JSONNode?) -> String {
        [node?["kind"]?.string, node?["id"]?.string].compactMap { $0 }.joined(separator: " ")
    }
}

public struct AuditQuery: Sendable {
    public var action: String?
    public var actor: String?
    public var target: String?
    /// RFC 3339.
    public var from: String?
    /// RFC 3339, not included.
    public var to: String?

    public init(action: String? = nil, actor: String? = nil, target: String? = nil, from: String? = nil, to: String? = nil) {
        self.action = action
        self.actor = actor
        self.target = target
        self.from = from
        self.to = to
    }

    var items: [(String, String?)] { [("action", action), ("actor", actor), ("target", target), ("from", from), ("to", to)] }
}

extension HsafaClient {
    /// Newest first.
    public func audit(
        _ query: AuditQuery = AuditQuery(), limit: Int? = nil, cursor: String? = nil
    ) async throws(HsafaClientError) -> Page<AuditRow> {
        try await page(
            "/api/audit", query.items + [("limit", limit.map(String.init)), ("cursor", cursor)]
        ) { node throws(HsafaClientError) in try AuditRow(node) }
    }
}
