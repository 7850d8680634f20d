import Domain
import Hummingbird
import JSON
import Runtime
import Storage

/// `POST /api/runs/{runId}/tool-results` {callId, result | error}: 200 `{applied}`; false where an earlier outcome stands. The run's log has
/// the result and its source; the audit log has what the gate decided where it did not let the answer through.
struct SubmitToolResult: Operation {
    static let audit = AuditRule.logs([.toolCallDecide])
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        let id = try context.parameters.id("runId", "run", as: RunID.self)
        try QueryReader.refuseAny(request)
        let (callID, outcome) = try await afterExistence {
            _ = try await gateway.runs.get(context.scope, id)
        } _: {
            try Self.read(try await JSONBody.read(request))
        }
        // A page has its own calls to answer, and no others.
        let targets: Set<ToolTarget> = context.principal.runToken == nil ? [.browser, .external] : [.browser]
        let applied = try await gateway.runs.submitResult(context.scope, id, callID: callID, outcome: outcome, targets: targets)
        return Answer.object(capacity: 96) { writer in
            writer.field("callId", string: callID.description)
            writer.field("applied", bool: applied)
        }
    }

    /// The source is put right by the service, which knows the call's target.
    private static func read(_ body: JSONDocument) throws -> (CallID, ToolOutcome) {
        var reader = try JSONObjectReader(body.root)
        let callID = try reader.id("callId", as: CallID.self)
        // A result may be null; an error may not.
        let result = reader.has("result") ? try reader.node("result") : try reader.optionalNode("result")
        let error = try reader.optionalNode("error")
        let errorPointer = reader.pointer(to: "error")
        try reader.finish()
        switch (result, error) {
        case (let result?, nil):
            let compact = result.rawJSON.compacted()
            guard compact.bytes.count <= Limits.maxToolResultBytes else {
                throw JSONViolation(
                    pointer: reader.pointer(to: "result"), message: "must be at most \(Limits.maxToolResultBytes) bytes of JSON")
            }
            return (callID, .result(compact, source: .browser))
        case (nil, let error?): return (callID, .failed(try ToolError(reading: error, at: errorPointer), source: .browser))
        case (nil, nil): throw JSONViolation(pointer: reader.pointer(to: "result"), message: "or error is required")
        case (.some, .some): throw JSONViolation(pointer: errorPointer, message: "must be absent where result is given")
        }
    }
}
