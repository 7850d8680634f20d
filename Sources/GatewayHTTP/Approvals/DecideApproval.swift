import Domain
import Hummingbird
import JSON
import Runtime
import Storage

/// What both decisions are about, and take: {callHash?, reason?}.
private struct ApprovalDecision {
    let run: RunID
    let call: CallID
    let callHash: String?
    let reason: String?

    init(_ request: Request, _ context: AuthenticatedContext, _ gateway: Gateway, takesReason: Bool) async throws {
        let run = try context.parameters.id("runId", "run", as: RunID.self)
        let call = try context.parameters.id("callId", "approval", as: CallID.self)
        try QueryReader.refuseAny(request)
        (self.run, self.call) = (run, call)
        (callHash, reason) = try await afterExistence {
            _ = try await gateway.approvals.get(context.scope, run, call)
        } _: {
            try await Self.read(request, takesReason: takesReason)
        }
    }

    private static func read(_ request: Request, takesReason: Bool) async throws -> (callHash: String?, reason: String?) {
        guard let body = try await JSONBody.readIfPresent(request) else { return (nil, nil) }
        var reader = try JSONObjectReader(body.root)
        let callHash = try reader.optionalString("callHash", maxBytes: 128)
        let reason = takesReason ? try reader.optionalString("reason", maxBytes: 1024) : nil
        try reader.finish()
        guard reason?.utf8.contains(0) != true else {
            throw JSONViolation(pointer: reader.pointer(to: "reason"), message: "must hold no \\u0000")
        }
        return (callHash, reason)
    }
}

/// `POST /api/runs/{runId}/tool-calls/{callId}/approve` {callHash?}: good for exactly this call; a second decision is 409.
struct ApproveCall: Operation {
    static let audit = AuditRule.logs([.toolCallApprove, .toolCallDecide])
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        let decision = try await ApprovalDecision(request, context, gateway, takesReason: false)
        let approval = try await gateway.approvals.approve(
            context.scope, decision.run, decision.call, callHash: decision.callHash, by: context.author)
        return Answer.object { writer in approval.write(to: &writer) }
    }
}

/// `POST /api/runs/{runId}/tool-calls/{callId}/deny` {callHash?, reason?}: the model is told, and the run goes on.
struct DenyCall: Operation {
    static let audit = AuditRule.logs([.toolCallDeny])
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        let decision = try await ApprovalDecision(request, context, gateway, takesReason: true)
        let approval = try await gateway.approvals.deny(
            context.scope, decision.run, decision.call, callHash: decision.callHash, reason: decision.reason, by: context.author)
        return Answer.object { writer in approval.write(to: &writer) }
    }
}
