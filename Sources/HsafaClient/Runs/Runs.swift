public import JSON

/// A run's projection; `json` holds every field.
public struct Run: Sendable {
    public let runId: String
    /// queued, running, waiting_tool, completed, failed or canceled.
    public let status: String
    public let lastSeq: Int?
    public let agentName: String?
    /// The run whose call started this one; nil: none did.
    public let parentRunId: String?
    public let createdAt: String?
    public let json: RawJSON

    init(_ node: JSONNode) throws(HsafaClientError) {
        guard let id = node["runId"]?.string ?? node["id"]?.string, let status = node["status"]?.string else {
            throw .malformed("A run without “runId” or “status”.")
        }
        runId = id
        self.status = status
        lastSeq = node["lastSeq"]?.int
        agentName = node["agentName"]?.string ?? node["agent"]?["name"]?.string
        parentRunId = node["parent"]?["runId"]?.string
        createdAt = node["createdAt"]?.string
        json = node.rawJSON
    }

    public var isFinished: Bool { status == "completed" || status == "failed" || status == "canceled" }
}

public struct RunMessage: Sendable {
    public let role: String
    public let content: String

    public init(role: String, content: String) {
        self.role = role
        self.content = content
    }

    public static func user(_ content: String) -> RunMessage { RunMessage(role: "user", content: content) }
}

public enum AgentReference: Sendable {
    case id(String)
    case name(String)

    /// A UUID is an id, everything else a name.
    public init(_ text: String) {
        let groups = text.split(separator: "-", omittingEmptySubsequences: false)
        let isUUID = groups.map(\.count) == [8, 4, 4, 4, 12] && groups.allSatisfy { $0.allSatisfy { $0.isASCII && $0.isHexDigit } }
        self = isUUID ? .id(text) : .name(text)
    }
}

/// What a tool gave, for `submitToolResult` and for devices.
public enum ToolOutcome: Sendable, Equatable {
    case result(RawJSON)
    case error(code: String, message: String)

    func write(into writer: inout JSONWriter) {
        switch self {
        case .result(let json): writer.field("result", raw: json)
        case .error(let code, let message):
            writer.field(
                "error",
                raw: .object { error in
                    error.field("code", string: code)
                    error.field("message", string: message)
                })
        }
    }
}

extension HsafaClient {
    public var runs: RunsAPI { RunsAPI(client: self) }

    public struct RunsAPI: Sendable {
        let client: HsafaClient

        /// Returns as soon as the run is queued; `status` is "queued".
        public func create(
            agent: AgentReference, agentVersionId: String? = nil, messages: [RunMessage], previousRunId: String? = nil,
            metadata: RawJSON? = nil, deadlineSeconds: Int? = nil, idempotencyKey: String? = nil
        ) async throws(HsafaClientError) -> Run {
            let body = RawJSON.object { writer in
                switch agent {
                case .id(let id): writer.field("agentId", string: id)
                case .name(let name): writer.field("agentName", string: name)
                }
                writer.field("agentVersionId", stringIfPresent: agentVersionId)
                writer.field(
                    "initialMessages",
                    raw: .array { list in
                        for message in messages {
                            list.raw(
                                .object { item in
                                    item.field("role", string: message.role)
                                    item.field("content", string: message.content)
                                })
                        }
                    })
                writer.field("previousRunId", stringIfPresent: previousRunId)
                if let metadata { writer.field("metadata", raw: metadata) }
                if let deadlineSeconds { writer.field("deadlineSeconds", int: deadlineSeconds) }
            }
            return try Run(await client.create("/api/runs", idempotencyKey: idempotencyKey, body: body).root)
        }

        public func list(
            status: String? = nil, agentId: String? = nil, parentRunId: String? = nil, limit: Int? = nil, cursor: String? = nil
        ) async throws(HsafaClientError) -> Page<Run> {
            let query = [
                ("status", status), ("agentId", agentId), ("parentRunId", parentRunId), ("limit", limit.map(String.init)),
                ("cursor", cursor),
            ]
            return try await client.page("/api/runs", query) { node throws(HsafaClientError) in try Run(node) }
        }

        public func get(_ runId: String, includeMessages: Bool = false) async throws(HsafaClientError) -> Run {
            let query = HsafaClient.query([("include", includeMessages ? "messages" : nil)])
            return try Run(await client.call("GET", "/api/runs/\(percentEncode(runId))\(query)").root)
        }

        /// History from Postgres, `after` exclusive.
        public func events(
            _ runId: String, after: Int? = nil, limit: Int? = nil, types: [String] = []
        ) async throws(HsafaClientError) -> Page<RunEvent> {
            let query = [
                ("after", after.map(String.init)), ("limit", limit.map(String.init)),
                ("types", types.isEmpty ? nil : types.joined(separator: ",")),
            ]
            return try await client.page("/api/runs/\(percentEncode(runId))/events", query) {
                node throws(HsafaClientError) in try RunEvent(node)
            }
        }

        /// Idempotent; a finished run answers with its state.
        @discardableResult
        public func cancel(_ runId: String) async throws(HsafaClientError) -> RawJSON {
            try await client.call("POST", "/api/runs/\(percentEncode(runId))/cancel").json
        }

        /// False: an earlier outcome stands.
        public func submitToolResult(_ runId: String, callId: String, outcome: ToolOutcome) async throws(HsafaClientError) -> Bool {
            let body = RawJSON.object { writer in
                writer.field("callId", string: callId)
                outcome.write(into: &writer)
            }
            return try await client.call("POST", "/api/runs/\(percentEncode(runId))/tool-results", body: body).root["applied"]?.bool ?? true
        }

        /// Follows the run until its last event; resumes by itself.
        public func stream(
            _ runId: String, since: Int? = nil, options: RunStream.Options = .init(),
            onNotice: @escaping @Sendable (RunStream.Notice) -> Void = { _ in }
        ) -> RunStream {
            RunStream(client: client, runId: runId, since: since, options: options, onNotice: onNotice)
        }
    }
}
