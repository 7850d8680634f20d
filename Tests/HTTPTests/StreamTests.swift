import HsafaClient
import JSON
import NIOHTTP1
import Testing

@Suite(.timeLimit(.minutes(5)))
struct StreamTests {
    /// A finished run of some twenty events.
    private func finishedRun(_ tenant: TestTenant) async throws -> (run: String, events: [HsafaClient.Event]) {
        let run = try await tenant.run(
            steps: [Config.calls("echo"), #"{"deltas":{"count":8,"text":"wörd "},"delayMilliseconds":2}"#], tools: [Config.echo])
        return (run, try await tenant.events(run))
    }

    @Test func `a stream gives every event once, in order, with its headers, and ends after the last`() async throws {
        let tenant = try await TestTenant.make()
        let (run, live) = try await finishedRun(tenant)
        let stream = try await EventStream.whole(tenant, run)
        #expect(stream.status == 200)
        #expect(stream.headers.first(name: "Content-Type") == "text/event-stream; charset=utf-8")
        #expect(stream.headers.first(name: "Cache-Control") == "no-store")
        #expect(stream.headers.first(name: "Connection") == "close")
        #expect(stream.headers.first(name: "X-Accel-Buffering") == "no")
        #expect(stream.headers.first(name: "X-Request-Id")?.isEmpty == false)
        let events = try stream.events()
        #expect(events.map(\.id) == (1...live.count).map { "\($0)-0" })
        // Replayed and live frames are the same bytes.
        #expect(events.map(\.data) == live.map { $0.raw.string })
    }

    @Test func `a stream resumes from every seq with exactly the rest, and is over at the last`() async throws {
        let tenant = try await TestTenant.make()
        let (run, live) = try await finishedRun(tenant)
        for seq in 0..<live.count {
            let rest = Array(seq + 1...live.count)
            #expect(try await EventStream.whole(tenant, run, lastEventID: "\(seq)-0").events().map(\.seq) == rest)
            #expect(try await EventStream.whole(tenant, run, "?since=\(seq)").events().map(\.seq) == rest)
        }
        for cursor in ["\(live.count)-0", "\(live.count)", "\(live.count + 5)-0", "999999999999999999"] {
            let over = try await EventStream.whole(tenant, run, lastEventID: cursor)
            #expect(over.status == 204)
            #expect(over.text.isEmpty)
        }
    }

    @Test func `Last-Event-ID wins over since, and both take either form`() async throws {
        let tenant = try await TestTenant.make()
        let (run, live) = try await finishedRun(tenant)
        for id in ["5", "5-0"] {
            #expect(try await EventStream.whole(tenant, run, "?since=2-0", lastEventID: id).events().first?.seq == 6)
            #expect(try await EventStream.whole(tenant, run, "?since=\(id)").events().first?.seq == 6)
        }
        #expect(try await EventStream.whole(tenant, run, "?since=\(live.count)", lastEventID: "0").events().count == live.count)
    }

    @Test func `what is no cursor is 400`() async throws {
        let tenant = try await TestTenant.make()
        let (run, _) = try await finishedRun(tenant)
        for cursor in ["x", "-1", "1-1", "1-0-0", "1.5", "0x1", "9999999999999999999", " ", "%2B1"] {
            let path = "/api/runs/\(run)/stream?since=\(cursor == " " ? "%20" : cursor)"
            try await tenant.send("GET", path).expectProblem(400, "invalid_query")
        }
        for cursor in ["x", "1-1", "9999999999999999999"] {
            try await tenant.send("GET", "/api/runs/\(run)/stream", headers: [("Last-Event-ID", cursor)]).expectProblem(
                400, "invalid_header")
        }
        for query in ["since=", "since=1&since=2", "format=odd", "after=1"] {
            try await tenant.send("GET", "/api/runs/\(run)/stream?\(query)").expectProblem(400, "invalid_query")
        }
    }

    @Test func `another tenant's run is the same 404 as one that is not there`() async throws {
        let tenant = try await TestTenant.make()
        let (run, _) = try await finishedRun(tenant)
        let stranger = try await TestTenant.make()
        let headers = [("X-Request-Id", "same")]
        let others = try await stranger.send("GET", "/api/runs/\(run)/stream?since=nonsense", headers: headers)
        let nobodys = try await stranger.send("GET", "/api/runs/\(unknownID())/stream", headers: headers)
        try others.expectProblem(404, "run_not_found")
        #expect(others.text == nobodys.text)
    }

    @Test func `a cursor ahead of a live run waits there`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(steps: [Config.calls("ask"), Config.says], tools: [Config.browser("ask")])
        let call = try #require(try await tenant.pendingCalls(run).first?["callId"]?.string)
        let lastSeq = try #require(try await tenant.snapshot(run)["lastSeq"]?.int)
        var near = try await EventStream.open(tenant, run, "?since=\(lastSeq + 2)")
        var far = try await EventStream.open(tenant, run, lastEventID: "1000-0")
        #expect(try await near.receive())
        #expect(try await far.receive())
        #expect(try near.events().isEmpty)
        #expect(try await tenant.answer(run, call).status == 200)
        let last = try #require(try await tenant.events(run).last?.seq)
        while try await near.receive() {}
        #expect(try near.events().map(\.seq) == Array(lastSeq + 3...last))
        // The run ended before it got so far: nothing will follow.
        while try await far.receive() {}
        #expect(try far.events().isEmpty)
    }

    @Test func `a hundred watchers of a run see every event once, wherever they begin`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(steps: [#"{"deltas":{"count":150,"text":"w "},"delayMilliseconds":10}"#])
        let seen = try await withThrowingTaskGroup(returning: [[Int]].self) { group in
            for index in 0..<100 {
                group.addTask {
                    // Some come while the run is under way.
                    if index % 4 == 3 { _ = try await tenant.events(run) { $0.seq > index } }
                    return try await EventStream.whole(tenant, run, "?since=\(index % 3)").events().map { $0.seq + (index % 3) * 10_000 }
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        let last = try #require(try await tenant.snapshot(run)["lastSeq"]?.int)
        #expect(seen.count == 100)
        for seqs in seen {
            let since = (seqs.first ?? 0) / 10_000
            #expect(seqs.map { $0 % 10_000 } == Array(since + 1...last))
        }
    }

    @Test func `a watcher that does not read for a while gets everything when it does`() async throws {
        let tenant = try await TestTenant.make()
        // 3 MiB of deltas and a message as large: more than the sockets' buffers hold. A control character is six bytes of JSON.
        let text = String(repeating: #"\u0001"#, count: 4096)
        let run = try await tenant.run(
            steps: [Config.calls("ask"), #"{"deltas":{"count":128,"text":"\#(text)"}}"#, Config.says], tools: [Config.browser("ask")])
        let call = try #require(try await tenant.pendingCalls(run).first?["callId"]?.string)
        let body = try await RawConnection.open(tenant.gateway, receiveBuffer: 8192) { connection in
            try await connection.send("GET /api/runs/\(run)/stream HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(tenant.key)\r\n\r\n")
            #expect(try await connection.head().status == 200)
            #expect(try await tenant.answer(run, call).status == 200)
            #expect(try await tenant.events(run).last?.type == "run.completed")
            var body: [UInt8] = []
            while let chunk = try await connection.chunk() { body += chunk }
            return body
        }
        let last = try #require(try await tenant.snapshot(run)["lastSeq"]?.int)
        #expect(body.count > 6 << 20)
        #expect(try EventStream.events(in: String(decoding: body, as: UTF8.self)).map(\.seq) == Array(1...last))
    }

    @Test func `watching changes nothing, and leaving cancels nothing`() async throws {
        let tenant = try await TestTenant.make()
        let run = try await tenant.run(steps: [#"{"deltas":{"count":20,"text":"w "},"delayMilliseconds":20}"#])
        try await RawConnection.open(tenant.gateway) { connection in
            try await connection.send("GET /api/runs/\(run)/stream HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(tenant.key)\r\n\r\n")
            #expect(try await connection.head().status == 200)
            #expect(try await connection.chunk() != nil)
        }
        #expect(try await tenant.events(run).last?.type == "run.completed")
    }
}
