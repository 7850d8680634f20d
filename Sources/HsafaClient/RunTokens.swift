public import JSON

/// A run token as lists show it: never its secret.
public struct RunToken: Sendable {
    public let tokenId: String
    public let runId: String
    /// tools, approvals; watching is always given.
    public let grants: [String]
    public let createdAt: String?
    public let expiresAt: String?
    public let json: RawJSON

    init(_ node: JSONNode) throws(HsafaClientError) {
        guard let id = node["tokenId"]?.string, let run = node["runId"]?.string else {
            throw .malformed("A run token without “tokenId” and “runId”.")
        }
        tokenId = id
        runId = run
        grants = (node["grants"]?.elements).map { $0.compactMap(\.string) } ?? []
        createdAt = node["createdAt"]?.string
        expiresAt = node["expiresAt"]?.string
        json = node.rawJSON
    }
}

/// `text` is shown this once.
public struct IssuedRunToken: Sendable {
    public let text: String
    public let token: RunToken
    public let json: RawJSON

    init(_ answer: HsafaClient.Answer) throws(HsafaClientError) {
        text = try answer.string("token")
        token = try RunToken(answer.root)
        json = answer.json
    }
}

extension HsafaClient {
    /// Tokens of runs, for pages.
    public var runTokens: RunTokensAPI { RunTokensAPI(client: self) }

    public struct RunTokensAPI: Sendable {
        let client: HsafaClient

        /// - Parameters:
        ///   - grants: tools, approvals.
        ///   - expiresSeconds: nil: an hour.
        public func create(
            _ runId: String, grants: [String] = [], expiresSeconds: Int? = nil
        ) async throws(HsafaClientError) -> IssuedRunToken {
            let body = RawJSON.object { writer in
                writer.field("grants", raw: .array { list in for grant in grants { list.string(grant) } })
                if let expiresSeconds { writer.field("expiresSeconds", int: expiresSeconds) }
            }
            return try IssuedRunToken(await client.call("POST", path(runId), body: body))
        }

        /// Those that are good; a run has no second page of them.
        public func list(_ runId: String) async throws(HsafaClientError) -> Page<RunToken> {
            try await client.page(path(runId), []) { node throws(HsafaClientError) in try RunToken(node) }
        }

        /// At once and for good; asking again changes nothing.
        public func revoke(_ runId: String, _ tokenId: String) async throws(HsafaClientError) {
            _ = try await client.call("DELETE", "\(path(runId))/\(percentEncode(tokenId))")
        }

        private func path(_ runId: String) -> String { "/api/runs/\(percentEncode(runId))/tokens" }
    }
}
