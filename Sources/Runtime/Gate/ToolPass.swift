import Domain
import JSON

/// Proof that the gate let this very call through, a moment ago. Only the gate makes one, and nothing that carries out a call takes
/// anything else.
public struct ToolPass: Sendable {
    let callID: CallID
    let tool: String
    /// What was judged, and so what goes out.
    let arguments: RawJSON
    /// As the log has it, policy's bound included; nil: the tool's own.
    let timeoutSeconds: Int?
    /// Policy's bound of what comes of it; nil: it has none.
    let maxResultBytes: Int?
    let policyHash: String

    fileprivate init(_ call: CallState, _ arguments: RawJSON, _ decision: PolicyDecision) {
        callID = call.call.callID
        tool = call.call.name
        self.arguments = arguments
        timeoutSeconds = call.timeoutSeconds
        maxResultBytes = call.maxResultBytes
        policyHash = decision.policyHash
    }
}

/// The gate's word about a call that is about to be carried out.
enum DispatchVerdict: Sendable {
    case pass(ToolPass)
    case refused(ToolOutcome, GateDecision)
    /// Policy wants a person by now, who was not asked.
    case ask(ApprovalRequest, GateDecision)
}

extension ToolRules {
    /// Asked again at the last moment, with the arguments that stand in the log: what policy admitted when the call was requested, or a
    /// person approved, may be denied by now.
    func atDispatch(agent: String, _ call: CallState, device: PolicyQuestion.Device = .open(labels: [:])) -> DispatchVerdict {
        var inquiry = PolicyInquiry()
        return atDispatch(agent: agent, call, device: device, &inquiry)
    }

    /// The same for one of several devices that the call might go to.
    func atDispatch(
        agent: String, _ call: CallState, device: PolicyQuestion.Device, _ inquiry: inout PolicyInquiry
    ) -> DispatchVerdict {
        guard let target = call.target, let arguments = call.arguments, let document = try? arguments.document() else {
            let decision = GateDecision(
                callID: call.call.callID, tool: call.call.name, target: call.target ?? .server, effect: .deny, reason: "not_requested",
                rules: [], policyHash: policies.hash, arguments: .emptyObject)
            return .refused(.denied(reason: "not_requested", message: "The call was asked of no target."), decision)
        }
        let decision = policies.decide(
            PolicyQuestion(
                tenantSlug: scope.slug, agentName: agent, target: target, tool: call.call.name, arguments: document.root, device: device),
            &inquiry)
        func record(_ effect: PolicyEffect, _ reason: String) -> GateDecision {
            GateDecision(
                callID: call.call.callID, tool: call.call.name, target: target, effect: effect, reason: reason,
                rules: decision.namedRules,
                policyHash: decision.policyHash, arguments: arguments)
        }
        if decision.isDenied {
            let outcome = ToolOutcome.denied(by: decision, tool: call.call.name, target: target)
            return .refused(outcome, record(.deny, decision.code))
        }
        switch call.approval {
        case .pending:
            return .refused(
                .denied(reason: "approval_pending", message: "The call waits for approval."), record(.deny, "approval_pending"))
        case .approved where !call.isApproved:
            // Cannot come about: the log never changes. Should it, nothing goes out.
            return .refused(
                .denied(reason: "approval_void", message: "The approval is of another call."), record(.deny, "approval_void"))
        case .approved: break
        case nil:
            if decision.effect == .requireApproval {
                let request = ApprovalRequest(
                    expiresSeconds: decision.approvalSeconds ?? Limits.defaultApprovalSeconds,
                    rules: decision.namedRules, now: .now())
                return .ask(request, record(.requireApproval, decision.reason.rawValue))
            }
        }
        return .pass(ToolPass(call, arguments, decision))
    }

    /// A call that its device was asked already, about to be sent again. It cannot be held any more: where policy wants a person by now, it
    /// ends, and the model may ask for it anew.
    ///
    /// - Parameter isAllowed: by the device's `allowedTools`.
    func again(agent: String, _ call: CallState, device labels: [String: String], isAllowed: Bool) -> DispatchVerdict {
        let verdict = atDispatch(agent: agent, call, device: .chosen(labels: labels))
        if case .pass(let pass) = verdict, !isAllowed {
            let record = GateDecision(
                callID: pass.callID, tool: pass.tool, target: .device, effect: .deny, reason: "device_not_allowed", rules: [],
                policyHash: pass.policyHash, arguments: pass.arguments)
            let message = "The device that was asked may not run \(pass.tool) any more; ask for it again."
            return .refused(.denied(reason: "device_not_allowed", message: message), record)
        }
        guard case .ask(_, let record) = verdict else { return verdict }
        let message = "Policy wants a person to approve \(call.call.name) by now, and it had gone out without one; ask for it again."
        return .refused(
            .denied(reason: "denied_by_policy", message: message), record.denied("denied_by_policy", by: record.rules))
    }
}

extension ToolOutcome {
    static func denied(by decision: PolicyDecision, tool: String, target: ToolTarget) -> ToolOutcome {
        let place = "\(tool) on target \(target.rawValue)"
        let message =
            switch decision.reason {
            case .rule: "Policy denies \(place)."
            case .noRuleMatched: "No policy rule allows \(place) with these arguments."
            case .conditionUndecided: "A policy rule could not be decided in time for \(place), so the call is denied."
            }
        return .denied(reason: decision.code, message: message)
    }
}
