import Domain
import JSON
import ModelProviders
import Storage

/// Brings what a model asked for to the gate. A call that cannot be made is no fault of the run: the model gets an error to mend.
struct ToolCallPreparer {
    struct Prepared: Sendable {
        var requested: [RequestedCall] = []
        var calls: [PreparedCall] = []
        var admitted: [NewToolCall] = []
        /// What the gate decided, for the audit log.
        var decisions: [GateDecision] = []
    }

    let config: AgentConfig
    let gate: ToolGate
    let rules: ToolRules
    let claimed: ClaimedRun

    /// - Parameter counts: calls of the run so far, by the rules that count them.
    func prepare(_ calls: [ModelToolCall], counts: [String: Int]) async -> Prepared {
        var prepared = Prepared()
        var counts = counts
        for (index, call) in calls.enumerated() {
            // Each may take its whole budget: whatever else runs on this loop comes in between.
            if index > 0 { await LoopExecutor.yield() }
            let requested = RequestedCall(
                callID: .generate(), providerCallID: call.providerCallID, name: call.name, arguments: call.arguments)
            prepared.requested.append(requested)
            let isTooMany = index >= Limits.maxToolCallsPerStep
            let decision =
                isTooMany
                ? refusal(requested, "too_many_calls", "At most \(Limits.maxToolCallsPerStep) calls fit in a step.")
                : await prepare(requested, &counts, &prepared.decisions)
            prepared.calls.append(decision)
            if case .admitted(let new) = decision { prepared.admitted.append(new) }
        }
        return prepared
    }

    private func prepare(
        _ call: RequestedCall, _ counts: inout [String: Int], _ decisions: inout [GateDecision]
    ) async -> PreparedCall {
        guard let tool = config.tool(named: call.name) else {
            let names = config.tools.map(\.name).joined(separator: ", ")
            return refusal(call, "unknown_tool", "There is no tool \(call.name). Tools: \(names.isEmpty ? "none" : names).")
        }
        guard call.arguments.utf8.count <= Limits.maxToolArgumentsBytes else {
            return refusal(call, "arguments_too_large", "The arguments are larger than \(Limits.maxToolArgumentsBytes) bytes.")
        }
        let text = call.arguments.isEmpty ? "{}" : call.arguments
        let document: JSONDocument
        do throws(JSONError) {
            document = try JSONDocument(parsing: Array(text.utf8))
            guard document.root.kind == .object else {
                return refusal(call, "invalid_arguments", "The arguments must be one JSON object.")
            }
            let faults = tool.arguments.violations(of: document.root)
            guard faults.isEmpty else {
                let list = faults.map { "\($0.pointer.isEmpty ? "the arguments" : $0.pointer) \($0.message)" }.joined(separator: "; ")
                return refusal(call, "invalid_arguments", "The arguments do not fit the tool's inputSchema: \(list).")
            }
        } catch {
            return refusal(call, "invalid_arguments", "The arguments are not valid JSON: \(error).")
        }
        let verdict = await gate.admit(
            call, of: tool, arguments: document.root, agent: claimed.agentName, under: rules, counts: &counts)
        decisions.append(verdict.record)
        let new = NewToolCall(
            callID: call.callID, providerCallID: call.providerCallID, tool: tool.name, target: tool.target,
            arguments: document.root.rawJSON.compacted(), device: tool.device,
            timeoutSeconds: min(tool.timeoutSeconds, verdict.limits.timeoutSeconds ?? .max), maxResultBytes: verdict.limits.maxResultBytes,
            countedRules: verdict.outcome == nil ? verdict.countedRules : [], approval: verdict.approval,
            isDelivered: tool.external != nil)
        if let denied = verdict.outcome { return .refused(call, tool: new, outcome: denied) }
        return .admitted(new)
    }

    private func refusal(_ call: RequestedCall, _ code: String, _ message: String) -> PreparedCall {
        .refused(call, tool: nil, outcome: .failed(ToolError(code: code, message: message), source: .gateway))
    }
}
