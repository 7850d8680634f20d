import Domain
import Foundation
import HsafaClient
import JSON
import TestServers
import TestSupport
import Testing

/// The tool that docs/CLIENTS.md shows, as a process that the gateway posts to.
@Suite(.timeLimit(.minutes(5)))
struct ExternalSnippetTests {
    @Test func `the tool of the documentation verifies its calls, and refuses what is not signed`() async throws {
        let (tenant, secret) = try await External.tenant()
        let port = try freePort()
        let tool = try ChildProcess(
            [try TestEnvironment.variable("TEST_WEBHOOKS_PYTHON"), "-c", try Self.program()],
            environment: ["WEBHOOK_SECRET": secret.text, "PORT": "\(port)"])
        defer { tool.kill() }
        // Attempts before it listens are followed by others.
        let run = try await tenant.run(steps: [External.call, Config.tellsResult], tools: [External.tool("http://127.0.0.1:\(port)/")])
        let outcome = try await External.outcome(tenant, run)
        #expect(outcome["result"]?.rawJSON.string == #"{"booked":{"amount":42},"booking":1}"#)
        // Signed by a key that the tool does not know: it has to say no.
        _ = try await External.rotate(tenant, overlapSeconds: 0)
        let again = try await tenant.client.runs.create(agent: .name("tester"), messages: [.user("Hi")]).runId
        #expect(try await External.outcome(tenant, again)["error"]?["code"]?.string == "http_401")
    }

    private static func program() throws -> String {
        let text = try String(contentsOfFile: TestEnvironment.repository + "/docs/CLIENTS.md", encoding: .utf8)
        let begin = try #require(text.range(of: "```python file=tool.py\n")).upperBound
        return String(text[begin..<(try #require(text.range(of: "\n```", range: begin..<text.endIndex)).lowerBound)])
    }
}
