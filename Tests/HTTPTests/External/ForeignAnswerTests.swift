import Domain
import HsafaClient
import JSON
import TestServers
import TestSupport
import Testing

@testable import GatewayHTTP

/// Answers that are posted with another tenant's token: as to a call that is nowhere, and nothing of the owner's changes.
@Suite(.timeLimit(.minutes(5)))
struct ForeignAnswerTests {
    /// Everything of two answers that may not differ.
    private func expectSame(_ theirs: Answer, _ nobodys: Answer, _ status: Int, _ what: String) {
        #expect(theirs.status == status, "\(what): \(theirs.text)")
        #expect(SeenAnswer(theirs) == SeenAnswer(nobodys), "\(what)")
    }

    @Test func `what names a thing and takes no key is known`() {
        let open = RouteTable.all.filter { $0.path.contains("{") && $0.requirement == .nothing }.map(\.operationID)
        #expect(open == ["getDocsFile", "submitExternalResult"], "a new one wants a test beside those here; the files are no tenant's")
    }

    private static let same = [("X-Request-Id", "same")]

    private static let bodies = [#"{"result":"mine now"}"#, #"{"error":{"code":"a","message":"b"}}"#, "{}", "{", ""]

    @Test func `the result token of another tenant's call answers no call but its own`() async throws {
        let server = try await ToolServer { _ in .init(202) }
        let (owner, _) = try await External.tenant()
        let (stranger, _) = try await External.tenant(on: owner.gateway)
        let tool = External.tool("http://127.0.0.1:\(server.port)/")
        let run = try await owner.run(steps: [External.call, Config.tellsResult], tools: [tool])
        let theirs = try #require(try await server.calls().first)
        _ = try await owner.events(run) { $0.type == "tool.call.dispatched" }
        let own = try await stranger.run(steps: [External.call, Config.says], tools: [tool])
        let mine = try #require(try await server.calls(2).first { $0.run == own })
        _ = try await stranger.events(own) { $0.type == "tool.call.dispatched" }
        let before = try await owner.gateway.environment.fingerprint(of: owner)
        let client = owner.gateway.client(key: mine.token)
        for body in Self.bodies {
            let answer = try await client.send("POST", "/api/tool-results/\(theirs.call)", body, headers: Self.same)
            let nowhere = try await client.send("POST", "/api/tool-results/\(unknownID())", body, headers: Self.same)
            expectSame(answer, nowhere, 401, body)
        }
        #expect(try await owner.gateway.environment.fingerprint(of: owner) == before)
        #expect(try await stranger.later(mine.call, mine.token).json()["applied"]?.bool == true, "its own it answers")
        #expect(try await owner.later(theirs.call, theirs.token).json()["applied"]?.bool == true)
        #expect(try await External.outcome(owner, run)["result"]?.rawJSON.string == #"{"later":1}"#)
        await server.close()
    }

    @Test func `the run token of another tenant's run answers and decides nothing of this one's`() async throws {
        let owner = try await TestTenant.make()
        let (run, call) = try await owner.askingRun()
        let holder = try await TestTenant.make()
        let (heldRun, held) = try await holder.heldRun()
        let stranger = try await TestTenant.make()
        let (own, ownCall) = try await stranger.askingRun()
        let page = stranger.page(try await stranger.runToken(own, ["tools", "approvals"]))
        let before = try await [owner, holder].fingerprints()
        func post(_ path: String, _ body: String) async throws -> Answer {
            try await page.send("POST", path, body, headers: Self.same)
        }
        let result = #""result":"mine now"}"#
        // The owner's run and call; its call under the page's own run.
        let nobody = try await post("/api/runs/\(unknownID())/tool-results", #"{"callId":"\#(call)",\#(result)"#)
        expectSame(try await post("/api/runs/\(run)/tool-results", #"{"callId":"\#(call)",\#(result)"#), nobody, 404, "run")
        let nowhere = try await post("/api/runs/\(own)/tool-results", #"{"callId":"\#(unknownID())",\#(result)"#)
        expectSame(try await post("/api/runs/\(own)/tool-results", #"{"callId":"\#(call)",\#(result)"#), nowhere, 404, "call")
        for what in ["approve", "deny"] {
            let nobody = try await post("/api/runs/\(unknownID())/tool-calls/\(held)/\(what)", "{}")
            expectSame(try await post("/api/runs/\(heldRun)/tool-calls/\(held)/\(what)", "{}"), nobody, 404, what)
            let nowhere = try await post("/api/runs/\(own)/tool-calls/\(unknownID())/\(what)", "{}")
            expectSame(try await post("/api/runs/\(own)/tool-calls/\(held)/\(what)", "{}"), nowhere, 404, "\(what) of one's own run")
        }
        #expect(try await [owner, holder].fingerprints() == before)
        #expect(try await post("/api/runs/\(own)/tool-results", #"{"callId":"\#(ownCall)","result":1}"#).json()["applied"]?.bool == true)
        #expect(try await owner.answer(run, call).json()["applied"]?.bool == true)
    }
}

extension [TestTenant] {
    /// Of each of them.
    fileprivate func fingerprints() async throws -> [[String: String]] {
        var all: [[String: String]] = []
        for tenant in self { all.append(try await tenant.gateway.environment.fingerprint(of: tenant)) }
        return all
    }
}
