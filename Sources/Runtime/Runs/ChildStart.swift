import Domain
import JSON
import Postgres
import Storage

extension RunPerformer {
    /// Carries out a call by starting a run of another agent. The run is there once `tool.call.dispatched` is, in the same transaction: a
    /// worker that dies before has done nothing, one that dies after has done everything.
    ///
    /// - Parameter pass: the gate's, for this call; there is no other way to have one.
    func startChild(_ tool: AgentTool, _ pass: ToolPass, _ writer: RunWriter) async throws {
        let callID = pass.callID
        switch try await child(of: tool, pass, writer) {
        case .failure(let error):
            try await writer.transition { RunMachine.record(.failed(error, source: .gateway), of: callID, in: $0) }
        case .success(let child):
            do { try await writer.transition { RunMachine.startChild(child, in: $0) } } catch let error as PostgresError
                where error.isTreeFull
            {
                let error = ToolError(
                    code: "too_many_runs",
                    message: "The runs below one run are at most \(Limits.maxRunsOfTree), and these are; go on without \(pass.tool).")
                return try await writer.transition { RunMachine.record(.failed(error, source: .gateway), of: callID, in: $0) }
            }
            // Somebody may have ended the call first.
            if await writer.state.call(callID)?.childRunID == child.runID { runs.announce(child) }
        }
    }

    private func child(
        of tool: AgentTool, _ pass: ToolPass, _ writer: RunWriter
    ) async throws -> Result<NewChildRun, ToolError> {
        let (scope, runID) = (writer.claimed.scope, writer.claimed.runID)
        let tenant = database.tenant(scope)
        let message: String
        do { message = try tool.input(try pass.arguments.document().root) } catch let error as TemplateError {
            return .failure(ToolError(code: "invalid_message", message: error.message))
        }
        let origin = await writer.state.parent
        let (depth, root) = ((origin?.depth ?? 0) + 1, origin?.rootRunID ?? runID)
        guard depth <= Limits.maxChildDepth else {
            return .failure(
                ToolError(
                    code: "too_deep", message: "Agents call agents at most \(Limits.maxChildDepth) deep; go on without \(pass.tool)."))
        }
        guard let agent = try await tenant.agent(named: tool.agentName) else {
            return .failure(ToolError(code: "agent_not_found", message: "There is no agent \(tool.agentName)."))
        }
        var version = agent.currentVersionID
        if let label = tool.version { version = try await tenant.version(labeled: label, of: agent.agentID) }
        guard let version else {
            return .failure(
                ToolError(
                    code: "agent_version_not_found",
                    message: "The agent \(agent.name) has no version\(tool.version.map { " " + $0 } ?? " yet")."))
        }
        if let refusal = try await limiter.admit(scope, .childRun).refusal {
            return .failure(
                ToolError(
                    code: refusal.code, message: "This tenant's runs a minute are used up; go on without \(pass.tool), or later."))
        }
        let child = NewChildRun(
            agentID: agent.agentID, agentName: agent.name, versionID: version,
            parent: RunParent(runID: runID, callID: pass.callID, rootRunID: root, depth: depth, output: tool.output),
            message: message, deadlineSeconds: pass.timeoutSeconds ?? Limits.defaultToolSeconds)
        guard child.created.data.bytes.count <= Limits.maxConversationBytes else {
            return .failure(
                ToolError(
                    code: "invalid_message", message: "What the agent would be told is larger than \(Limits.maxConversationBytes) bytes."))
        }
        return .success(child)
    }
}
