public import JSON

/// Holds what a gateway says, and what it accepts, to `openapi.yaml`. Each check answers with what is wrong, ready to be told.
public final class Contract: Sendable {
    /// One request and its answer.
    public struct Exchange: Sendable {
        public var method: String
        /// With its query.
        public var target: String
        public var requestBody: [UInt8]?
        public var status: Int
        public var headers: [(name: String, value: String)]
        /// nil: not looked at, as of a stream that goes on.
        public var body: [UInt8]?

        public init(
            method: String, target: String, requestBody: [UInt8]? = nil, status: Int, headers: [(name: String, value: String)],
            body: [UInt8]?
        ) {
            self.method = method
            self.target = target
            self.requestBody = requestBody
            self.status = status
            self.headers = headers
            self.body = body
        }

        func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name.lowercased() }?.value }
    }

    static let loaded = Result { try Contract(ContractDocument()) }

    /// Of the repository's own description.
    public static var shared: Contract { get throws { try loaded.get() } }

    public let document: ContractDocument
    let schemas: ContractSchemas
    let tally = ContractTally()
    /// Of a stream's events by name, and of a socket's frames by direction.
    private let unions: [String: Union]

    /// One of several schemas, which the value's `type` names.
    private struct Union: Sendable {
        let whole: SpecValue
        /// nil: there is one schema only.
        let branches: [String: SpecValue]?
    }

    public init(_ document: ContractDocument) {
        self.document = document
        schemas = ContractSchemas(root: document.root)
        let stream = document.operations.first { $0.operationID == "streamRun" }?.responses[200]?.content.first?.value["x-sse-events"]
        let socket = document.resolve("#/paths/~1devices~1connect/get/responses/101/x-websocket-frames")
        var unions: [String: Union] = [:]
        for member in (stream?.members ?? []) + (socket?.members ?? []) {
            let union = try? SpecReader(root: document.root).followed(member.value)
            let branches = union?["discriminator"]?["mapping"]?.members.map { ($0.key, SpecValue.object([.init("$ref", $0.value)])) }
            unions[member.key] = Union(whole: member.value, branches: branches.map { Dictionary($0) { first, _ in first } })
        }
        self.unions = unions
    }

    /// What does not fit a schema of the description, as it is written there.
    public func violations(of value: RawJSON, schema: SpecValue) throws -> [String] {
        try schemas.violations(of: value.document(limits: JSONLimits(maxDepth: 1000, maxBytes: 64 << 20)).root, schema, .asWritten)
    }

    /// Something that breaks the description because a test wants it to.
    public func leaveOut() { tally.count { $0.leftOut += 1 } }

    // MARK: Events and frames

    /// One event of a stream.
    public func check(event name: String, data: [UInt8]) throws -> [String] {
        _ = ContractTally.telling
        guard let union = unions[name] else { return ["event \(name) of the stream is not described"] }
        let (found, type) = try check(data, union)
        tally.count {
            $0.events += 1
            $0.eventTypes.insert(type ?? name)
        }
        return found.map { "event \(type ?? name): \($0)" }
    }

    public enum Direction: String, Sendable {
        case fromGateway, fromDevice
    }

    /// One message of a device's socket.
    public func check(frame: [UInt8], _ direction: Direction) throws -> [String] {
        _ = ContractTally.telling
        guard let union = unions[direction.rawValue] else { return ["frames \(direction) are not described"] }
        let (found, type) = try check(frame, union)
        tally.count {
            $0.frames += 1
            $0.frameTypes.insert("\(direction) \(type ?? "unknown")")
        }
        return found.map { "frame \(type ?? "") \(direction): \($0)" }
    }

    public func check(closeCode code: UInt16) throws -> [String] {
        let isKnown = document.resolve("#/components/schemas/DeviceCloseCode")?["enum"]?.elements.contains(.number(String(code))) ?? false
        return isKnown ? [] : ["close code \(code) is not described"]
    }

    /// By the discriminator, so that what is wrong is told of the one schema that was meant.
    private func check(_ bytes: [UInt8], _ union: Union) throws -> (violations: [String], type: String?) {
        let root: JSONNode
        do { root = try JSONDocument(parsing: bytes, limits: JSONLimits(maxDepth: 200, maxBytes: 64 << 20)).root } catch {
            return (["is no JSON: \(error)"], nil)
        }
        guard let branches = union.branches else { return (try schemas.violations(of: root, union.whole, .closed), nil) }
        guard let type = root["type"]?.string else { return (["has no type"], nil) }
        guard let branch = branches[type] else { return (["the type \(type) is not described"], type) }
        return (try schemas.violations(of: root, branch, .closed), type)
    }
}
