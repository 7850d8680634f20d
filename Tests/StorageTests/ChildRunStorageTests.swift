import Domain
import JSON
import Postgres
import Storage
import TestSupport
import Testing

struct ChildRunStorageTests {
    private func child(_ run: StorageRun, _ call: NewToolCall) throws -> NewChildRun {
        NewChildRun(
            agentID: run.agent.agentID, agentName: run.agent.name, versionID: try #require(run.agent.currentVersionID),
            parent: RunParent(runID: run.runID, callID: call.callID, rootRunID: run.runID, depth: 1, output: .text), message: "Go.",
            deadlineSeconds: call.timeoutSeconds)
    }

    /// A call that has started its run.
    private func started(_ run: StorageRun) async throws -> (call: NewToolCall, child: NewChildRun) {
        let call = StorageRun.call(.server)
        let state = try await run.ask([call])
        let child = try child(run, call)
        let transition = try #require(RunMachine.startChild(child, in: state))
        #expect(
            try await run.tenant.transition(transition, of: run.runID, after: state.lastSeq, claim: nil, at: .now()).verdict == .applied)
        return (call, child)
    }

    @Test func `of two who start a run for one call one does, and both rows name each other`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            let call = StorageRun.call(.server)
            let state = try await run.ask([call])
            let children = [try child(run, call), try child(run, call)]
            let verdicts = try await withThrowingTaskGroup(of: TransitionAnswer.Verdict.self) { group in
                for child in children {
                    group.addTask {
                        let transition = try #require(RunMachine.startChild(child, in: state))
                        return try await run.tenant.transition(
                            transition, of: run.runID, after: state.lastSeq, claim: nil, at: .now()
                        ).verdict
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(Set(verdicts) == [.applied, .conflict])
            let found = try await run.tenant.runs(RunFilter(parentRunID: run.runID), limit: 10, after: nil)
            let one = try #require(found.first)
            #expect(found.count == 1 && one.status == .queued && one.lastSeq == 1)
            #expect(one.parent?.runID == run.runID && one.parent?.callID == call.callID && one.parent?.depth == 1)
            let row = try #require(try await run.tenant.toolCall(call.callID))
            #expect(row.childRunID == one.runID && row.status == .dispatched && row.attempts == 1)
            // The child has no more time than its call.
            #expect(one.deadlineAt == row.deadlineAt)
            let event = try #require(try await run.tenant.events(of: one.runID, after: 0, limit: 1).first)
            let written = try #require(children.first { $0.runID == one.runID })
            #expect(event.type == .runCreated && event.data == written.created.data && event.time == written.time)
        }
    }

    @Test func `what is over on one side is found until it is over on both`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            let (call, child) = try await started(run)
            func unsettled() async throws -> [RunID] { try await db.claims.unsettledChildren(limit: 10).map(\.runID) }
            #expect(try await unsettled().isEmpty, "who waits costs a sweep nothing")
            let link = try #require(try await run.tenant.childLink(child.runID))
            #expect(link.parentRunID == run.runID && link.parentCallID == call.callID && !link.isCallOver)
            try await run.tenant.settleChild(link)
            // The call is over first.
            #expect(try await run.record(.expired, of: call.callID) == .applied)
            #expect(try await unsettled() == [child.runID])
            try await run.tenant.settleChild(link)
            #expect(try await unsettled() == [child.runID], "its run goes on")
            let state = try #require(try await run.tenant.fold(child.runID))
            let end = try #require(RunMachine.requestCancel(state, reason: nil))
            #expect(try await run.tenant.transition(end, of: child.runID, after: 1, claim: nil, at: .now()).verdict == .applied)
            #expect(try await unsettled() == [child.runID])
            #expect(try await run.tenant.childLink(child.runID)?.isCallOver == true)
            try await run.tenant.settleChild(link)
            #expect(try await unsettled().isEmpty)
        }
    }

    @Test func `a run whose end its parent was not told is found, and its tree is its tenant's alone`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            let (_, child) = try await started(run)
            let state = try #require(try await run.tenant.fold(child.runID))
            let end = RunMachine.failed(state, code: "c", message: "m")
            #expect(try await run.tenant.transition(end, of: child.runID, after: 1, claim: nil, at: .now()).verdict == .applied)
            let found = try await db.claims.unsettledChildren(limit: 10)
            #expect(found.map(\.runID) == [child.runID] && found.first?.scope == run.scope)
            let other = db.database.tenant(try await db.makeTenant())
            #expect(try await other.childLink(child.runID) == nil)
            #expect(try await other.runs(RunFilter(parentRunID: run.runID), limit: 10, after: nil).isEmpty)
            if let link = try await run.tenant.childLink(child.runID) { try await other.settleChild(link) }
            #expect(try await db.claims.unsettledChildren(limit: 10).count == 1)
        }
    }

    @Test func `of two who start the last run of a tree one does, and the other writes nothing`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            try await db.owner.fillTree(of: run.runID, run.scope, run.agent, children: Limits.maxRunsOfTree - 1)
            let calls = [StorageRun.call(.server), StorageRun.call(.server)]
            let state = try await run.ask(calls)
            var (applied, full) = (0, 0)
            for call in calls + [calls[1]] {
                let before = try await run.fold()
                let transition = try #require(RunMachine.startChild(try child(run, call), in: before))
                do {
                    let answer = try await run.tenant.transition(transition, of: run.runID, after: before.lastSeq, claim: nil, at: .now())
                    #expect(answer.verdict == .applied)
                    applied += 1
                } catch let error as PostgresError {
                    #expect(error.isTreeFull, "\(error)")
                    #expect(try await run.fold().lastSeq == before.lastSeq)
                    full += 1
                }
            }
            #expect(applied == 1 && full == 2)
            #expect(try await run.fold().lastSeq == state.lastSeq + 1)
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func `a sweep looks at none of five thousand that wait`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            try await db.owner.fillTree(of: run.runID, run.scope, run.agent, children: 5000)
            for table in ["runs", "tool_calls"] { _ = try await db.owner.query(SQL(unsafeSQL: "ANALYZE hsafa.\(table)"), lane: .slow) }
            let sweep: SQL = "SELECT * FROM hsafa.unsettled_children(256)"
            #expect(try await db.app.query(sweep).isEmpty)
            // The first use of a function on a connection reads catalogs.
            var fewest = Int.max
            for _ in 0..<8 {
                let plan = try await db.app.query(SQL(unsafeSQL: "EXPLAIN (ANALYZE, BUFFERS) " + sweep.text), lane: .slow)
                    .map { try $0.decode(0, as: String.self) }
                let line = try #require(plan.first { $0.contains("Buffers: shared") })
                fewest = min(fewest, line.split(separator: " ").compactMap { Int($0.drop { $0 != "=" }.dropFirst()) }.reduce(0, +))
            }
            #expect(fewest < 50, "\(fewest) pages")
        }
    }
}
