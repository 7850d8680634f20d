import Domain
import Hummingbird
import JSON
import Runtime
import Storage

/// `POST /api/runs`: writes the run and answers; a worker takes it from there.
struct CreateRun: CreatingOperation {
    static let audit = AuditRule.omitted(because: "a run is a log of its own")
    let gateway: Gateway

    func read(_ request: CreationRequest, _ context: AuthenticatedContext) throws -> NewRun {
        try QueryReader.refuseAny(request.head)
        var reader = try JSONObjectReader(try request.json().root)
        let agent = try Self.readAgent(&reader)
        let versionID = try reader.optionalID("agentVersionId", as: AgentVersionID.self)
        let messages = try Self.readMessages(&reader)
        let previous = try reader.optionalID("previousRunId", as: RunID.self)
        let metadata = try reader.optionalMetadata()
        let deadline = try reader.optionalInt("deadlineSeconds", in: 1...Limits.maxRunSeconds)
        try reader.finish()
        return NewRun(
            agent: agent, versionID: versionID, messages: messages, previousRunID: previous, metadata: metadata,
            deadlineSeconds: deadline)
    }

    func create(_ draft: NewRun, in tenant: TenantDatabase, _ context: AuthenticatedContext) async throws -> CreatedRun {
        try await gateway.runs.create(draft, in: tenant)
    }

    func answer(_ created: CreatedRun) -> CreationAnswer {
        let run = created.record
        let id = run.runID.description
        return Answer.creation(location: "/api/runs/\(id)") { writer in
            writer.field("runId", string: id)
            writer.field("status", string: run.status.rawValue)
            writer.field("streamUrl", string: "/api/runs/\(id)/stream")
            writer.field("agentId", string: run.agentID.description)
            writer.field("agentVersionId", string: run.versionID.description)
            writer.field("createdAt", time: run.createdAt)
            writer.field("deadlineAt", time: run.deadlineAt)
        }
    }

    func committed(_ created: CreatedRun) { gateway.runs.announce(created) }

    private static func readAgent(_ reader: inout JSONObjectReader) throws -> NewRun.Agent {
        let id = try reader.optionalID("agentId", as: AgentID.self)
        let name = try reader.optionalString("agentName", maxBytes: 1024)
        switch (id, name) {
        case (let id?, nil): return .id(id)
        case (nil, let name?): return .name(name)
        case (nil, nil): throw JSONViolation(pointer: reader.pointer(to: "agentId"), message: "or agentName is required")
        case (.some, .some):
            throw JSONViolation(pointer: reader.pointer(to: "agentName"), message: "must be absent where agentId is given")
        }
    }

    private static func readMessages(_ reader: inout JSONObjectReader) throws -> [InitialMessage] {
        let pointer = reader.pointer(to: "initialMessages")
        let node = try reader.node("initialMessages")
        guard node.kind == .array, (1...Limits.maxInitialMessages).contains(node.count) else {
            throw JSONViolation(pointer: pointer, message: "must be an array of 1 to \(Limits.maxInitialMessages) messages")
        }
        var messages: [InitialMessage] = []
        messages.reserveCapacity(node.count)
        for (index, element) in node.elements.enumerated() {
            messages.append(try InitialMessage(reading: element, at: "\(pointer)/\(index)"))
        }
        return messages
    }
}
