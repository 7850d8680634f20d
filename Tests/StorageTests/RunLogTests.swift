import Domain
import JSON
import Postgres
import Storage
import Testing

struct RunLogTests {
    private func deltas(_ count: Int) -> [NewRunEvent] {
        (0..<count).map { RunEventData.delta(.assistantDelta, text: "word \($0)", stampNanoseconds: nil) }
    }

    // MARK: Append

    @Test func `events are numbered behind the one that was seen, and a writer that saw less gets nothing in`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            #expect(run.claimed.seq == 2)
            #expect(try await run.append(deltas(3), after: 2) == 5)
            #expect(try await run.append(deltas(2), after: 2) == nil)
            #expect(try await run.append(deltas(1), after: 4) == nil)
            #expect(try await run.append(deltas(1), after: 5) == 6)
            let events = try await run.tenant.events(of: run.runID, after: 0, limit: 100)
            #expect(events.map(\.seq) == Array(1...6))
            #expect(events.dropFirst(2).allSatisfy { $0.claimNumber == 1 })
            #expect(events[4].data.string == #"{"text":"word 2"}"#)
        }
    }

    @Test func `of several rows all go in or none`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            let broken = deltas(2) + [NewRunEvent(.assistantDelta, RawJSON(trusted: Array("{".utf8)))]
            #expect(await postgresError { try await run.append(broken, after: 2) }?.sqlState == "22P02")
            #expect(try await run.fold().lastSeq == 2)
            // The first row is free and a later one is taken: the taken one may not be written over, nor the first be left behind.
            try await db.asOwner(
                run.scope,
                """
                INSERT INTO hsafa.run_events (tenant_id, run_id, seq, type, data, ts, claim_number)
                VALUES (\(run.scope.tenantID), \(run.runID), 4, 'assistant.delta', '{}', now(), 1)
                """)
            #expect(await postgresError { try await run.append(deltas(3), after: 2) }?.sqlState == "23505")
            #expect(try await run.tenant.events(of: run.runID, after: 2, limit: 10).map(\.seq) == [4])
        }
    }

    @Test func `of sixty-four writers at one seq exactly one wins`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            var after: Int64 = 2
            for _ in 0..<3 {
                let seen = after
                let winners = try await withThrowingTaskGroup(of: Int64?.self) { group in
                    for index in 0..<64 {
                        group.addTask { try await run.append(self.deltas(1 + index % 3), after: seen) }
                    }
                    return try await group.reduce(into: [Int64]()) { if let seq = $1 { $0.append(seq) } }
                }
                #expect(winners.count == 1)
                after = try #require(winners.first)
                let seqs = try await run.tenant.events(of: run.runID, after: 0, limit: 100).map(\.seq)
                #expect(seqs == Array(1...after))
            }
        }
    }

    @Test func `data comes back byte for byte`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            let text = #"{ "b":1.0,"a" : "\u0000 ü\/", "a":2 ,"n":1e400}"#
            _ = try await run.append([NewRunEvent(.assistantDelta, RawJSON(trusted: Array(text.utf8)))], after: 2)
            #expect(try await run.tenant.events(of: run.runID, after: 2, limit: 1).first?.data.string == text)
        }
    }

    // MARK: Fold

    @Test func `a fold equals the replay of the whole log, from any point on`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            #expect(try await run.append([RunMachine.stepStarted(1)] + deltas(7), after: 2) == 10)
            let early = try await run.fold()
            let calls = [StorageRun.call(.browser), StorageRun.call(.device)]
            try await run.ask(calls)
            #expect(try await run.record(.result(RawJSON("[1]"), source: .browser), of: calls[0].callID) == .applied)
            #expect(try await run.record(.expired, of: calls[1].callID) == .applied)
            let folded = try await run.fold()
            var replayed = RunState()
            for event in try await run.tenant.events(of: run.runID, after: 0, limit: 1000) { try replayed.apply(event) }
            #expect(folded == replayed)
            #expect(folded.status == .queued)
            #expect(folded.conversation.count == 4)
            var continued = early
            let fresh = try await run.tenant.refold(&continued, of: run.runID)
            #expect(continued == folded)
            #expect(fresh.map(\.seq) == Array(11...folded.lastSeq))
            #expect(try await run.tenant.refold(&continued, of: run.runID).isEmpty)
            #expect(continued == folded)
        }
    }

    @Test func `deltas at the end are counted, and a run that is not there has no state`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            _ = try await run.append([RunMachine.stepStarted(1)] + deltas(5), after: 2)
            let state = try await run.fold()
            #expect(state.lastSeq == 8)
            #expect(state.stepStartSeq == 3)
            #expect(try await run.tenant.fold(.generate()) == nil)
            #expect(try await run.tenant.position(of: .generate()) == nil)
            let position = try #require(try await run.tenant.position(of: run.runID))
            #expect(position.lastSeq == 8 && position.status == .running)
        }
    }

    @Test func `a page is bounded in bytes as well, and its cursor goes on with the very next event`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            let sizes = [10, 400, 400, 100, 2000, 10, 10, 500]
            let events = sizes.map {
                RunEventData.delta(.assistantDelta, text: String(repeating: "x", count: $0), stampNanoseconds: nil)
            }
            _ = try await run.append(events, after: 2)
            let all = try await run.tenant.events(of: run.runID, after: 0, limit: 100)
            for (limit, maxBytes) in [(100, 1000), (3, 1000), (2, 1 << 20), (10, 1 << 20), (9, 1 << 20), (1, 1), (100, 1)] {
                var pages: [[RunEvent]] = []
                var cursor: Int64? = 0
                while let after = cursor, pages.count < 100 {
                    let page = try await run.tenant.eventPage(of: run.runID, after: after, limit: limit, maxBytes: maxBytes)
                    pages.append(page.items)
                    #expect(page.items.count <= limit)
                    let bytes = page.items.reduce(0) { $0 + $1.data.bytes.count }
                    #expect(bytes <= maxBytes || page.items.count == 1, "\(bytes) bytes")
                    cursor = page.next.flatMap { Int64($0) }
                    #expect(cursor == nil || cursor == page.items.last?.seq)
                }
                #expect(pages.flatMap { $0 }.map(\.seq) == all.map(\.seq), "\(limit) \(maxBytes)")
                #expect(pages.last?.isEmpty == false, "the last page says that it is the last")
            }
            let typed = try await run.tenant.eventPage(of: run.runID, after: 0, limit: 1, types: [.runStarted])
            #expect(typed.items.map(\.type) == [.runStarted] && typed.next == nil)
            #expect(try await run.tenant.eventPage(of: .generate(), after: 0, limit: 5).items.isEmpty)
        }
    }

    @Test func `events are read in pages and by type`() async throws {
        try await StorageDatabase.with { db in
            let run = try await StorageRun.start(db)
            _ = try await run.append([RunMachine.stepStarted(1)] + deltas(5), after: 2)
            #expect(try await run.tenant.events(of: run.runID, after: 3, limit: 2).map(\.seq) == [4, 5])
            #expect(try await run.tenant.events(of: run.runID, after: 8, limit: 2).isEmpty)
            let typed = try await run.tenant.events(of: run.runID, after: 0, limit: 10, types: [.stepStarted, .runCreated])
            #expect(typed.map(\.type) == [.runCreated, .stepStarted])
        }
    }
}
