import Domain
import JSON
import Postgres
import Storage
import Testing

struct TransitionTests {
    @Test func `a decision writes its events, its calls and the projection in one`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            let calls = [StorageRun.call(.device), StorageRun.call(.browser)]
            let state = try await run.ask(calls)
            #expect(state.status == .waitingTool)
            let record = try #require(try await run.tenant.run(run.runID))
            #expect(record.status == .waitingTool)
            #expect(record.usage == TokenUsage(inputTokens: 10, outputTokens: 20))
            #expect(record.lastSeq == state.lastSeq)
            let rows = try await run.tenant.pendingToolCalls(of: run.runID)
            #expect(Set(rows.map(\.callID)) == Set(calls.map(\.callID)))
            #expect(rows.allSatisfy { $0.status == .requested && $0.arguments.string == #"{"a":1}"# && $0.source == nil })
            #expect(try await run.tenant.toolCall(calls[0].callID)?.selector != nil)
            // The worker let go.
            #expect(try await db.claims.renew(worker: .generate(), leaseSeconds: 60, [run.claimed]).isEmpty)
        }
    }

    @Test func `outcomes come into their table with the event, and the last one queues the run`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            let calls = [StorageRun.call(.device), StorageRun.call(.browser)]
            try await run.ask(calls)
            let device = DeviceID.generate()
            let before = try await run.fold()
            let dispatch = try #require(RunMachine.dispatch(calls[0].callID, to: device, in: before))
            let answer = try await run.tenant.transition(dispatch, of: run.runID, after: before.lastSeq, claim: nil, at: .now())
            #expect(answer.verdict == .applied && answer.lastSeq == before.lastSeq + 1)
            #expect(try await run.tenant.toolCall(calls[0].callID)?.status == .dispatched)
            #expect(try await run.tenant.toolCall(calls[0].callID)?.deviceID == device)
            #expect(try await run.tenant.toolCall(calls[0].callID)?.attempts == 1)

            #expect(try await run.record(.result(RawJSON(#"{"ok":true}"#), source: .device), of: calls[0].callID) == .applied)
            #expect(try await run.tenant.run(run.runID)?.status == .waitingTool)
            #expect(try await run.record(.failed(ToolError(code: "c", message: "m"), source: .browser), of: calls[1].callID) == .applied)
            #expect(try await run.tenant.run(run.runID)?.status == .queued)
            let first = try #require(try await run.tenant.toolCall(calls[0].callID))
            #expect(first.status == .completed && first.source == .device && first.result?.string == #"{"ok":true}"# && first.error == nil)
            let second = try #require(try await run.tenant.toolCall(calls[1].callID))
            #expect(second.status == .failed && second.finishedAt != nil && second.error?.string == #"{"code":"c","message":"m"}"#)
            #expect(try await run.record(.expired, of: calls[0].callID) == nil)
            #expect(try await run.tenant.pendingToolCalls(of: run.runID).isEmpty)

            let again = try #require(try await db.claim().first)
            #expect(again.claimNumber == 2)
            let resumed = try #require(try await run.tenant.events(of: run.runID, after: again.seq - 1, limit: 1).first)
            #expect(resumed.type == .runResumed)
            #expect(try resumed.data.document().root["reason"]?.string == "tool_results")
        }
    }

    @Test func `a decision on an old state is a conflict and writes nothing`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            let state = try await run.fold()
            let cancel = try #require(RunMachine.requestCancel(state, reason: "r"))
            #expect(try await run.append([RunMachine.stepStarted(1)], after: state.lastSeq) == 3)
            let answer = try await run.tenant.transition(cancel, of: run.runID, after: state.lastSeq, claim: nil, at: .now())
            #expect(answer.verdict == .conflict)
            #expect(answer.lastSeq == 0)
            #expect(try await run.fold().isCancelRequested == false)
        }
    }

    @Test func `another claim, or none, is fenced, and who holds the run is told to outsiders`() async throws {
        try await StorageDatabase.with { db in
            let worker = ReplicaID.generate()
            let scope = try await db.makeTenant()
            let agent = try await db.makeAgent(scope)
            let id = try await db.makeRun(scope, agent)
            let tenant = db.database.tenant(scope)
            let end = RunMachine.failed(RunState(), code: "c", message: "m")
            #expect(try await tenant.transition(end, of: id, after: 1, claim: 1, at: .now()).verdict == .fenced)
            let claimed = try #require(try await db.claim(worker: worker).first)
            #expect(try await tenant.transition(end, of: id, after: 2, claim: 2, at: .now()).verdict == .fenced)
            #expect(try await tenant.transition(end, of: .generate(), after: 2, claim: 1, at: .now()).verdict == .notFound)
            let state = try #require(try await tenant.fold(id))
            let ask = try #require(RunMachine.requestCancel(state, reason: nil))
            let asked = try await tenant.transition(ask, of: id, after: 2, claim: nil, at: .now())
            #expect(asked.verdict == .applied)
            #expect(asked.leaseOwner == worker)
            let applied = try await tenant.transition(end, of: id, after: 3, claim: claimed.claimNumber, at: .now())
            #expect(applied.verdict == .applied)
            #expect(try await tenant.transition(end, of: id, after: 4, claim: claimed.claimNumber, at: .now()).verdict == .fenced)
            let record = try #require(try await tenant.run(id))
            #expect(record.status == .failed && record.error == ToolError(code: "c", message: "m") && record.finishedAt != nil)
        }
    }

    @Test func `after its deadline a call takes no tool's result, only the gateway's word that it expired`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            let call = StorageRun.call(.device)
            try await run.ask([call])
            try await db.asOwner(run.scope, "UPDATE hsafa.tool_calls SET deadline_at = now() WHERE tenant_id = \(run.scope.tenantID)")
            let overdue = try await db.claims.overdueCalls(limit: 10)
            #expect(overdue.map(\.callID) == [call.callID])
            let before = try await run.fold()
            #expect(try await run.record(.result(.null, source: .device), of: call.callID) == .pastDeadline)
            #expect(try await run.fold() == before)
            #expect(try await run.record(.expired, of: call.callID) == .applied)
            #expect(try await run.tenant.toolCall(call.callID)?.status == .expired)
            #expect(try await run.tenant.toolCall(call.callID)?.source == .gateway)
            #expect(try await db.claims.overdueCalls(limit: 10).isEmpty)
        }
    }

    @Test func `a decision that breaks a rule of the tables leaves nothing behind`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            var transition = RunTransition(events: [RunMachine.stepStarted(1)], status: .completed)
            transition.outcomes = [CallOutcome(callID: .generate(), outcome: .expired)]
            let decision = transition
            let error = await postgresError {
                try await run.tenant.transition(decision, of: run.runID, after: 2, claim: 1, at: .now())
            }
            #expect(error?.sqlState == "23503")
            #expect(try await run.fold().lastSeq == 2)
            #expect(try await run.tenant.run(run.runID)?.status == .running)
        }
    }

    @Test func `of many outcomes of one call the first wins`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            let call = StorageRun.call(.browser)
            let state = try await run.ask([call])
            let verdicts = try await withThrowingTaskGroup(of: TransitionAnswer.Verdict.self) { group in
                for index in 0..<16 {
                    group.addTask {
                        let outcome = ToolOutcome.result(RawJSON.array { $0.int(index) }, source: .browser)
                        guard let transition = RunMachine.record(outcome, of: call.callID, in: state) else { return .notFound }
                        return try await run.tenant.transition(
                            transition, of: run.runID, after: state.lastSeq, claim: nil, at: .now()
                        ).verdict
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(verdicts.filter { $0 == .applied }.count == 1)
            #expect(verdicts.filter { $0 == .conflict }.count == 15)
            #expect(try await run.fold().lastSeq == state.lastSeq + 2)
        }
    }

    @Test func `a run past its deadline is named to the sweeper until it has ended`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            #expect(try await db.claims.overdueRuns(limit: 10).isEmpty)
            try await db.asOwner(run.scope, "UPDATE hsafa.runs SET deadline_at = now() WHERE tenant_id = \(run.scope.tenantID)")
            let overdue = try await db.claims.overdueRuns(limit: 10)
            #expect(overdue.map(\.runID) == [run.runID])
            #expect(overdue.first?.scope == run.scope)
            let end = RunMachine.failed(try await run.fold(), code: "deadline_exceeded", message: "Late.")
            #expect(try await run.tenant.transition(end, of: run.runID, after: 2, claim: nil, at: .now()).verdict == .applied)
            #expect(try await db.claims.overdueRuns(limit: 10).isEmpty)
        }
    }
}
