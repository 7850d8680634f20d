public import JSON

/// One event of a run's log: `{"runId","seq","type","ts","data"}`.
public struct RunEvent: Sendable {
    public let runId: String
    public let seq: Int
    public let type: String
    /// RFC 3339.
    public let ts: String
    public let data: RawJSON
    /// The whole envelope as the gateway sent it.
    public let raw: RawJSON

    init(_ node: JSONNode) throws(HsafaClientError) {
        guard let seq = node["seq"]?.int, let type = node["type"]?.string else {
            throw .malformed("A run event without “seq” or “type”.")
        }
        runId = node["runId"]?.string ?? ""
        self.seq = seq
        self.type = type
        ts = node["ts"]?.string ?? ""
        data = node["data"]?.rawJSON ?? .emptyObject
        raw = node.rawJSON
    }

    /// Nothing follows it.
    public var isTerminal: Bool { type == "run.completed" || type == "run.failed" || type == "run.canceled" }
}
