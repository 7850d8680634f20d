public import Domain
import JSON
import Logging
import Postgres
public import Storage

/// What can be done with runs from outside: create, read, cancel, answer calls.
public final class RunService: Sendable {
    public struct Decision: Sendable {
        public enum Answer: Sendable, Equatable {
            case applied, nothingToDo
            /// A tool's answer came after its call's deadline, or a person's decision after its approval's expiry.
            case pastDeadline
        }

        public let answer: Answer
        /// After what was written, if anything was.
        public let state: RunState
        public let leaseOwner: ReplicaID?
    }

    let database: Database
    let gate: ToolGate
    private let publisher: RunPublisher
    private let wakeups: Wakeups
    private let workers: RunWorkers
    private let replicaID: ReplicaID
    private let logger: Logger
    private let created: MetricCounter
    private let schedule: ScheduleNotes
    /// What comes from outside may hold what a config has sent out with the call.
    let withoutSecrets: @Sendable (ToolOutcome, AgentVersionID, TenantScope) async throws -> ToolOutcome
    let folds = RunFolds()
    let childNotices = ChildNotices()
    /// Called with the calls that a cancel or a failure ended, so that devices hear of it.
    let callsEnded: @Sendable (TenantScope, [CallState]) -> Void

    init(
        database: Database, gate: ToolGate, publisher: RunPublisher, wakeups: Wakeups, workers: RunWorkers, schedule: ScheduleNotes,
        replicaID: ReplicaID, metrics: MetricsRegistry, logger: Logger,
        withoutSecrets: @escaping @Sendable (ToolOutcome, AgentVersionID, TenantScope) async throws -> ToolOutcome,
        callsEnded: @escaping @Sendable (TenantScope, [CallState]) -> Void
    ) {
        self.database = database
        self.gate = gate
        self.publisher = publisher
        self.wakeups = wakeups
        self.workers = workers
        self.schedule = schedule
        self.replicaID = replicaID
        self.logger = logger
        self.withoutSecrets = withoutSecrets
        self.callsEnded = callsEnded
        created = metrics.counter("hsafa_runs_created_total", help: "Runs created by this process.")
    }

    // MARK: Create

    /// Writes the run and its first event through `tenant`, and nothing else: whoever commits calls `announce` afterwards.
    public func create(_ new: NewRun, in tenant: TenantDatabase) async throws -> CreatedRun {
        let agent: AgentRecord?
        switch new.agent {
        case .id(let id): agent = try await tenant.agent(id)
        case .name(let name): agent = try await tenant.agent(named: name)
        }
        guard let agent else { throw GatewayError.notFound("agent") }
        let version = try await version(for: new, of: agent, tenant)
        let context = try await context(new.previousRunID, tenant)
        let deadlineSeconds = new.deadlineSeconds ?? Limits.defaultRunSeconds
        let now = Timestamp.now()
        let id = RunID.generate()
        let event = NewRunEvent(.runCreated) { writer in
            writer.field("agentId", string: agent.agentID.description)
            writer.field("agentName", string: agent.name)
            writer.field("agentVersionId", string: version.description)
            writer.field("previousRunId", stringIfPresent: new.previousRunID?.description)
            if !context.isEmpty {
                writer.key("context")
                writer.beginArray()
                for turn in context { turn.write(to: &writer) }
                writer.endArray()
            }
            writer.key("messages")
            writer.beginArray()
            for message in new.messages { ConversationTurn.message(message).write(to: &writer) }
            writer.endArray()
            writer.field("deadlineSeconds", int: deadlineSeconds)
            if let metadata = new.metadata { writer.field("metadata", raw: metadata.compacted()) }
        }
        guard event.data.bytes.count <= Limits.maxConversationBytes else {
            throw GatewayError(
                status: 413, code: "conversation_too_large",
                detail: "The messages, with those of the runs before, are larger than \(Limits.maxConversationBytes) bytes; begin anew.")
        }
        let record = try await tenant.insertRun(
            id, agent: agent, version: version, previousRunID: new.previousRunID, metadata: new.metadata,
            deadlineSeconds: deadlineSeconds, created: event, at: now)
        return CreatedRun(record: record, event: event, time: now)
    }

    /// What follows the commit of a new run: its watchers and the workers hear of it.
    public func announce(_ run: CreatedRun) {
        created.add()
        publisher.publish([run.event].numbered(after: 0, claim: 0, at: run.time), of: run.record.runID)
        if !workers.nudge() { wakeups.runReady() }
    }

    /// The same of a run that a call started, once that is committed.
    func announce(_ child: NewChildRun) {
        created.add()
        publisher.publish([child.created].numbered(after: 0, claim: 0, at: child.time), of: child.runID)
        if !workers.nudge() { wakeups.runReady() }
    }

    private func version(for new: NewRun, of agent: AgentRecord, _ tenant: TenantDatabase) async throws -> AgentVersionID {
        if let wanted = new.versionID {
            guard try await tenant.version(wanted, of: agent.agentID) != nil else { throw GatewayError.notFound("agent_version") }
            return wanted
        }
        guard let current = agent.currentVersionID else {
            throw GatewayError.conflict("no_version", "Agent \(agent.name) has no version yet; publish one first.")
        }
        return current
    }

    /// The conversation of the run that this one continues goes into its own log, so that one log tells everything.
    private func context(_ previous: RunID?, _ tenant: TenantDatabase) async throws -> [ConversationTurn] {
        guard let previous else { return [] }
        guard let state = try await tenant.fold(previous) else { throw GatewayError.notFound("previous_run") }
        guard state.status.isTerminal else {
            throw GatewayError.conflict("previous_run_not_finished", "Run \(previous) has not ended; wait for it, or cancel it.")
        }
        return state.conversation
    }

    // MARK: Read

    public func list(_ scope: TenantScope, _ filter: RunFilter, _ page: PageRequest) async throws -> Page<RunRecord> {
        let rows = try await database.tenant(scope).runs(filter, limit: page.limit + 1, after: try page.after(RunID.self))
        return Page(rows: rows, limit: page.limit) { $0.runID.description }
    }

    public func get(_ scope: TenantScope, _ id: RunID) async throws -> RunRecord {
        guard let run = try await database.tenant(scope).run(id) else { throw GatewayError.notFound("run") }
        return run
    }

    /// Those that may be answered: not what waits for a person.
    public func pendingCalls(_ scope: TenantScope, _ id: RunID) async throws -> [ToolCallRecord] {
        try await database.tenant(scope).pendingToolCalls(of: id)
    }

    public func toolCalls(_ scope: TenantScope, _ id: RunID, _ page: PageRequest) async throws -> Page<ToolCallRecord> {
        _ = try await get(scope, id)
        return try await database.tenant(scope).toolCallPage(of: id, limit: page.limit, after: try page.after(CallID.self))
    }

    public func messages(_ scope: TenantScope, _ id: RunID) async throws -> [ConversationTurn] {
        guard let state = try await database.tenant(scope).fold(id) else { throw GatewayError.notFound("run") }
        return state.conversation
    }

    public func events(
        _ scope: TenantScope, _ id: RunID, after: Int64, limit: Int, types: Set<RunEventType>?
    ) async throws -> Page<RunEvent> {
        let tenant = database.tenant(scope)
        let page = try await tenant.eventPage(
            of: id, after: after, limit: min(limit, Limits.maxEventsPageSize), types: types.map(Array.init))
        // Each run has its first event, so only an empty answer needs a second look.
        if page.items.isEmpty { _ = try await get(scope, id) }
        return page
    }

    // MARK: Change

    /// Idempotent: a finished run is returned as it is.
    public func cancel(_ scope: TenantScope, _ id: RunID, reason: String?, by author: ChangeAuthor) async throws -> RunRecord {
        _ = try await get(scope, id)
        let audit = (author, AuditEntry(.runCancel, id) { writer in writer.field("reason", stringIfPresent: reason) })
        let decision = try await decide(scope, id, audit: audit) { RunMachine.requestCancel($0, reason: reason) }
        if decision.answer == .applied, decision.state.status == .canceled { callsEnded(scope, decision.state.calls) }
        return try await get(scope, id)
    }

    /// The loop of every decision from outside: fold the log, decide, write, publish; when someone else wrote first, again. What a
    /// person decided is in the audit log as well.
    public func decide(
        _ scope: TenantScope, _ id: RunID, audit: (author: ChangeAuthor, entry: AuditEntry)? = nil,
        _ decide: @Sendable (RunState) throws -> RunTransition?
    ) async throws -> Decision {
        let tenant = database.tenant(scope)
        var state = folds.latest(scope, id)
        for _ in 0..<Limits.maxDecisionAttempts {
            do { _ = try await tenant.refold(&state, of: id) } catch let fault as RunLogFault {
                folds.forget(scope, id)
                throw fault
            }
            guard state.lastSeq > 0 else { throw GatewayError.notFound("run") }
            folds.keep(state, scope, id)
            guard let transition = try decide(state) else { return Decision(answer: .nothingToDo, state: state, leaseOwner: nil) }
            let now = Timestamp.now()
            let answer: TransitionAnswer
            do {
                if let audit {
                    answer = try await tenant.changes(by: audit.author).transition(
                        transition, of: id, after: state.lastSeq, at: now, audit.entry)
                } else {
                    answer = try await tenant.transition(transition, of: id, after: state.lastSeq, claim: nil, at: now)
                }
            } catch {
                // Deciding again is safe: what went in after all is found in the log.
                if error.isWorthAnotherTry { continue }
                throw error
            }
            switch answer.verdict {
            case .applied:
                let events = transition.events.numbered(after: state.lastSeq, claim: 0, at: now)
                for event in events { try state.apply(event) }
                folds.keep(state, scope, id)
                publisher.publish(events, of: id)
                childNotices.note(state, of: id, scope)
                wake(id, transition, leaseOwner: answer.leaseOwner)
                schedule.note(transition.schedules)
                return Decision(answer: .applied, state: state, leaseOwner: answer.leaseOwner)
            case .conflict: continue
            case .pastDeadline: return Decision(answer: .pastDeadline, state: state, leaseOwner: answer.leaseOwner)
            case .notFound, .fenced: throw GatewayError.notFound("run")
            }
        }
        throw GatewayError.unavailable("The run is busy; try again.", cause: "run \(id): \(Limits.maxDecisionAttempts) conflicts in a row")
    }

    private func wake(_ id: RunID, _ transition: RunTransition, leaseOwner: ReplicaID?) {
        if transition.status == .queued {
            if !workers.nudge() { wakeups.runReady() }
        } else if let leaseOwner {
            if leaseOwner == replicaID { workers.active.wake(id) } else { wakeups.runWritten(id, worker: leaseOwner) }
        }
    }
}
