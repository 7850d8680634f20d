public import JSON

/// A call of which a person was asked.
public struct Approval: Sendable {
    public let runId: String
    public let callId: String
    /// pending, approved, denied, expired or canceled.
    public let status: String
    public let agentName: String
    public let tool: String
    public let target: String
    /// What the tool would be called with.
    public let args: RawJSON
    /// Of exactly this call.
    public let callHash: String
    public let expiresAt: String?
    public let json: RawJSON

    init(_ node: JSONNode) throws(HsafaClientError) {
        guard let run = node["runId"]?.string, let call = node["callId"]?.string, let hash = node["callHash"]?.string else {
            throw .malformed("An approval without “runId”, “callId” and “callHash”.")
        }
        runId = run
        callId = call
        callHash = hash
        status = node["status"]?.string ?? ""
        agentName = node["agentName"]?.string ?? ""
        tool = node["tool"]?.string ?? ""
        target = node["target"]?.string ?? ""
        args = node["args"]?.rawJSON ?? .emptyObject
        expiresAt = node["expiresAt"]?.string
        json = node.rawJSON
    }
}

extension HsafaClient {
    public var approvals: ApprovalsAPI { ApprovalsAPI(client: self) }

    public struct ApprovalsAPI: Sendable {
        let client: HsafaClient

        public func list(
            status: String? = nil, limit: Int? = nil, cursor: String? = nil
        ) async throws(HsafaClientError) -> Page<Approval> {
            try await client.page(
                "/api/approvals", [("status", status), ("limit", limit.map(String.init)), ("cursor", cursor)]
            ) { node throws(HsafaClientError) in try Approval(node) }
        }

        /// - Parameter callHash: what was looked at; 409 `call_differs` where the call is another.
        public func approve(_ runId: String, _ callId: String, callHash: String? = nil) async throws(HsafaClientError) -> Approval {
            let body = RawJSON.object { $0.field("callHash", stringIfPresent: callHash) }
            return try Approval(try await client.call("POST", path(runId, callId) + "/approve", body: body).root)
        }

        /// - Parameter reason: the model reads it.
        public func deny(
            _ runId: String, _ callId: String, reason: String? = nil, callHash: String? = nil
        ) async throws(HsafaClientError) -> Approval {
            let body = RawJSON.object { writer in
                writer.field("callHash", stringIfPresent: callHash)
                writer.field("reason", stringIfPresent: reason)
            }
            return try Approval(try await client.call("POST", path(runId, callId) + "/deny", body: body).root)
        }

        private func path(_ runId: String, _ callId: String) -> String {
            "/api/runs/\(percentEncode(runId))/tool-calls/\(percentEncode(callId))"
        }
    }
}
