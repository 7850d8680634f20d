import Domain
import JSON
import Logging
import ModelProviders
import Storage

/// Works on one claimed run until it ends, waits, or has to be given back. The road after a crash and after a tool's result is the
/// same: fold the log, ask the machine what is next.
struct RunPerformer: Sendable {
    let database: Database
    let publisher: RunPublisher
    let versions: VersionBook
    let models: ModelDirectory
    let egress: EgressGuard
    let secrets: SecretService
    let gate: ToolGate
    let mcp: MCPTools
    let schedule: ScheduleNotes
    let limiter: TenantLimiter
    let active: ActiveRuns
    let runs: RunService
    let callsCommitted: @Sendable (ClaimedRun, [NewToolCall]) -> Void
    /// Called with the calls of a run that ended here, so that devices hear of it.
    let callsEnded: @Sendable (TenantScope, [CallState]) -> Void
    let isShuttingDown: @Sendable () -> Bool
    let logger: Logger
    private var folds: RunFolds { runs.folds }

    /// A cut stream is tried again so often, with `step.restarted`, before the run fails.
    static let maxRestartsOfStep = 2

    /// `loop` is that of the task that asks.
    func perform(_ claimed: ClaimedRun, on loop: LoopExecutor) async {
        let tenant = database.tenant(claimed.scope)
        do {
            var state = folds.latest(claimed.scope, claimed.runID)
            // The claim's own event is to be seen, as it is published from here.
            if state.lastSeq >= claimed.seq { state = RunState() }
            let events = try await tenant.refold(&state, of: claimed.runID)
            publisher.publish(events.filter { $0.seq == claimed.seq }, of: claimed.runID)
            guard state.claimNumber == claimed.claimNumber, state.status == .running else { return }
            let writer = RunWriter(
                claimed: claimed, state: state, database: tenant, publisher: publisher, schedule: schedule, loop: loop, logger: logger)
            active.insert(writer, for: claimed.runID)
            defer { active.remove(claimed.runID, writer) }
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await writer.run() }
                await work(writer)
                writer.close()
                await group.waitForAll()
            }
            let left = await writer.state
            folds.keep(left, claimed.scope, claimed.runID)
            runs.childNotices.note(left, of: claimed.runID, claimed.scope)
        } catch {
            // The lease runs out, and the run is taken up again.
            folds.forget(claimed.scope, claimed.runID)
            logger.error("run given up", metadata: ["run": "\(claimed.runID)", "cause": "\(error)"])
        }
    }

    private func work(_ writer: RunWriter) async {
        let connections = mcp.connections(for: writer.claimed)
        await work(writer, connections)
        // What the run came to is written before its servers are told that nobody asks any more.
        await connections.close()
    }

    private func work(_ writer: RunWriter, _ connections: MCPConnections) async {
        do {
            let config = try await versions.config(writer.claimed.scope, writer.claimed.versionID)
            try await steps(writer, config, connections)
        } catch let interruption as RunInterruption {
            await leave(writer, interruption)
        } catch let error as ModelError {
            logger.warning("model failed", metadata: ["run": "\(writer.claimed.runID)", "cause": "\(error.internalDetail)"])
            await end(writer) { RunMachine.failed($0, code: "model_\(error.code.rawValue)", message: error.publicMessage) }
        } catch let error as GatewayError where error.status < 500 {
            await end(writer) { RunMachine.failed($0, code: error.code, message: error.detail) }
        } catch {
            logger.error("run given up", metadata: ["run": "\(writer.claimed.runID)", "cause": "\(error)"])
        }
    }

    /// Writes the reason for leaving into the log, where that is still this worker's to do.
    private func leave(_ writer: RunWriter, _ reason: RunInterruption) async {
        switch reason {
        case .fenced: break
        case .cancelRequested:
            await end(writer) { state in
                if case .end(let transition) = RunMachine.next(state, maxSteps: .max) { transition } else { nil }
            }
        case .handOver: await end(writer) { RunMachine.handBack($0) }
        case .suspended: await end(writer) { RunMachine.handBack($0, .unsuspended) }
        case .deadlineExceeded:
            await end(writer) { RunMachine.failed($0, code: "deadline_exceeded", message: "The run did not end before its deadline.") }
        }
    }

    private func end(_ writer: RunWriter, _ decide: @Sendable (RunState) -> RunTransition?) async {
        do {
            let open = await writer.state.openCalls
            try await writer.transition(decide)
            if !open.isEmpty, await writer.state.status.isTerminal { callsEnded(writer.claimed.scope, open) }
        } catch let error as RunInterruption where error == .fenced {
            logger.info("run belongs to another claim", metadata: ["run": "\(writer.claimed.runID)"])
        } catch {
            logger.error("run given up", metadata: ["run": "\(writer.claimed.runID)", "cause": "\(error)"])
        }
    }

    private func steps(_ writer: RunWriter, _ config: AgentConfig, _ connections: MCPConnections) async throws {
        while true {
            if let reason = writer.interruption { throw reason }
            if isShuttingDown() { throw RunInterruption.handOver }
            switch RunMachine.next(await writer.state, maxSteps: config.maxSteps) {
            case .end:
                // A result may come in between: then the machine is asked again.
                try await writer.transition { state in
                    if case .end(let transition) = RunMachine.next(state, maxSteps: config.maxSteps) { transition } else { nil }
                }
                if await writer.state.status != .running { return }
            case .runServerCalls(let calls):
                try await runServerCalls(calls, writer, config, connections)
            case .callModel(let step, let discardAfterSeq):
                if try await performStep(step, discardAfterSeq: discardAfterSeq, writer, config, connections) { return }
            }
        }
    }

    /// Some beside each other; each outcome is written as it comes.
    private func runServerCalls(
        _ calls: [CallState], _ writer: RunWriter, _ published: AgentConfig, _ connections: MCPConnections
    ) async throws {
        let named = try await secrets.open(published.secretNames, writer.claimed.scope)
        try await interruptible(writer) {
            // Asked for anew: another process may have requested the calls.
            let isKnown = calls.allSatisfy { published.tool(named: $0.call.name) != nil }
            let inventory = isKnown ? MCPInventory() : await mcp.inventory(published, connections)
            let config = published.adding(inventory.definitions)
            let tools = ServerTools(
                egress: egress, tenant: writer.claimed.scope, runDeadline: writer.claimed.deadlineAt, secrets: named, mcp: mcp,
                servers: config.mcpServers, connections: connections)
            try await withThrowingTaskGroup(of: Void.self) { group in
                var waiting = calls[...]
                func next() {
                    guard let call = waiting.popFirst() else { return }
                    group.addTask { try await runServerCall(call, tools, writer, config, inventory) }
                }
                for _ in 0..<Limits.serverToolsAtOnce { next() }
                while try await group.next() != nil { next() }
            }
        }
    }

    private func runServerCall(
        _ call: CallState, _ tools: ServerTools, _ writer: RunWriter, _ config: AgentConfig, _ inventory: MCPInventory
    ) async throws {
        let outcome: ToolOutcome
        let name = call.call.name
        if let tool = config.tool(named: name) {
            // Asked again: policy may have changed since the call was requested.
            guard let pass = try await gate.pass(call, writer) else { return }
            if case .agent(let agent) = tool.serverKind { return try await startChild(agent, pass, writer) }
            switch try await tools.perform(tool, pass) {
            case .outcome(let now): outcome = now
            case .due(let time): return try await writer.transition { RunMachine.schedule(call.call.callID, at: time, in: $0) }
            }
        } else {
            let error = inventory.absence(of: name) ?? ToolError(code: "unknown_tool", message: "The agent has no tool of this name.")
            outcome = tools.values.cut(from: .failed(error, source: .gateway))
        }
        do { try await writer.transition { RunMachine.record(outcome, of: call.call.callID, in: $0) } } catch is CallPastDeadline {
            try await writer.transition { RunMachine.record(.expired, of: call.call.callID, in: $0) }
        }
    }

    /// True when the run rests afterwards: it ended, or waits for tools.
    private func performStep(
        _ step: Int, discardAfterSeq: Int64?, _ writer: RunWriter, _ published: AgentConfig, _ connections: MCPConnections
    ) async throws -> Bool {
        var discard = discardAfterSeq
        var reason = "recovered"
        for restart in 0... {
            var inventory = MCPInventory()
            if !published.mcpServers.isEmpty { inventory = try await interruptible(writer) { await mcp.inventory(published, connections) } }
            let config = published.adding(inventory.definitions)
            let missing = try await unavailable(inventory, published, writer)
            if let discard {
                try await writer.emit(
                    RunMachine.stepRestarted(step, discardAfterSeq: discard, reason: reason, without: missing))
            } else {
                try await writer.emit(RunMachine.stepStarted(step, without: missing))
            }
            do {
                let request = try await request(step, attempt: restart, writer, config)
                return try await limiter.tokens.spend(
                    writer.claimed.scope, tokens: TokenEstimate.tokens(of: request), interruption: { writer.interruption }
                ) { day in
                    let response = try await callModel(request, writer, config)
                    var usage = TokenUsage(inputTokens: response.usage.inputTokens, outputTokens: response.usage.outputTokens)
                    // A server that counts nothing, or was told not to, does not make a call free.
                    if usage.total == 0 { usage = TokenEstimate.usage(of: request, response) }
                    let spending = TokenSpending(day: day, model: config.model.label, usage: usage)
                    return (try await finish(response, spending, writer, config), usage)
                }
            } catch let error as ModelError where error.isRetryable && error.hasEmitted && restart < Self.maxRestartsOfStep {
                try await writer.flush()
                discard = await writer.state.stepStartSeq
                reason = error.code.rawValue
            }
        }
        return false
    }

    /// What a server says of itself is seen like a result: without secrets.
    private func unavailable(
        _ inventory: MCPInventory, _ config: AgentConfig, _ writer: RunWriter
    ) async throws -> [RunMachine.UnavailableServer] {
        guard !inventory.unavailable.isEmpty else { return [] }
        let values = SecretValues(try await secrets.open(config.secretNames, writer.claimed.scope))
        return inventory.unavailable.map { server, error in
            let told = ToolError(error)
            return RunMachine.UnavailableServer(
                name: server.name, error: ToolError(code: told.code, message: values.cut(from: told.message)))
        }
    }

    private func request(_ step: Int, attempt: Int, _ writer: RunWriter, _ config: AgentConfig) async throws -> ModelRequest {
        let claimed = writer.claimed
        let rules = try await gate.rules(claimed.scope)
        return ModelRequests.make(
            config, apiKey: try await ModelKey.resolve(config.model, secrets, claimed.scope), conversation: await writer.state.conversation,
            step: step, attempt: attempt, tools: gate.shown(config.tools, agent: claimed.agentName, under: rules))
    }

    private func callModel(_ request: ModelRequest, _ writer: RunWriter, _ config: AgentConfig) async throws -> ModelResponse {
        guard
            let client = models.client(
                for: config.model.provider, through: ModelExchange(egress: egress, tenant: writer.claimed.scope).send)
        else {
            throw GatewayError(status: 422, code: "unknown_provider", detail: "This gateway has no provider \(config.model.provider).")
        }
        guard writer.claimed.deadlineAt > Timestamp.now() else { throw RunInterruption.deadlineExceeded }
        return try await interruptible(writer) {
            try await client.perform(request) { event in
                switch event {
                case .textDelta(let text, let stamp):
                    try await writer.emitDelta(.assistantDelta, text: text, stampNanoseconds: stamp)
                case .reasoningDelta(let text, let stamp):
                    try await writer.emitDelta(.reasoningDelta, text: text, stampNanoseconds: stamp)
                }
            }
        }
    }

    /// A call that leaves this process: given up when there is a reason to leave the run, which is then what is thrown.
    private func interruptible<R: Sendable>(_ writer: RunWriter, _ call: @escaping @Sendable () async throws -> R) async throws -> R {
        writer.outsideCallBegins()
        return try await withThrowingTaskGroup(of: R.self) { group in
            group.addTask {
                defer { writer.outsideCallEnded() }
                return try await call()
            }
            await writer.endOfOutsideCall()
            if writer.interruption != nil { group.cancelAll() }
            guard let outcome = await group.nextResult() else { throw CancellationError() }
            if case .failure = outcome, let reason = writer.interruption { throw reason }
            return try outcome.get()
        }
    }

    private func finish(
        _ response: ModelResponse, _ spending: TokenSpending, _ writer: RunWriter, _ config: AgentConfig
    ) async throws -> Bool {
        let prepared = await ToolCallPreparer(
            config: config, gate: gate, rules: try await gate.rules(writer.claimed.scope), claimed: writer.claimed
        ).prepare(response.calls, counts: await writer.state.callsByRule)
        let usage = spending.usage
        try await writer.transition { state in
            var transition = RunMachine.finishStep(
                state,
                message: RunEventData.assistantMessage(
                    step: state.step, text: response.text, reasoning: response.reasoning, calls: prepared.requested, usage: usage,
                    finishReason: response.finishReason.rawValue),
                calls: prepared.calls, usage: usage, finishReason: response.finishReason.rawValue, maxSteps: config.maxSteps)
            transition.spending = spending
            // Calls that are not begun were not let through.
            if !transition.newCalls.isEmpty { transition.decisions = prepared.decisions }
            return transition
        }
        let state = await writer.state
        let waiting = prepared.admitted.filter { call in state.openCalls.contains { $0.call.callID == call.callID } }
        if !waiting.isEmpty { callsCommitted(writer.claimed, waiting) }
        return state.status != .running
    }
}
