import Domain
import FoundationEssentials
import HsafaClient
import JSON
import Runtime
import Synchronization
import TestServers
import TestSupport
import Testing

/// Systems that are slow, broken, hostile, or where they must not be.
@Suite(.timeLimit(.minutes(5)))
struct ExternalAttackTests {
    @Test func `a system that is silent, drips or breaks off is given up after its time, and asked again`() async throws {
        let replies: [ToolServer.Reply] = {
            var cut = ToolServer.Reply(200, String(repeating: "x", count: 1000))
            cut.isCut = true
            return [.mute, .dripping, cut, .json("1")]
        }()
        let count = Mutex(0)
        let server = try await ToolServer { _ in
            replies[
                min(
                    count.withLock {
                        $0 += 1
                        return $0
                    }, replies.count) - 1]
        }
        let gateway = try await TestGateway.running(in: try await .fresh()) { $0.intervals.deliveryAttempt = .seconds(2) }
        let (tenant, _) = try await External.tenant(on: gateway)
        let run = try await tenant.run(steps: [External.call, Config.says], tools: [External.tool("http://127.0.0.1:\(server.port)/")])
        #expect(try await External.outcome(tenant, run)["result"]?.rawJSON.string == "1")
        #expect(server.received.count >= replies.count && Set(server.received.map { $0.header("webhook-id") }).count == 1)
        await server.close()
    }

    @Test func `slow systems of one tenant hold up neither another's calls nor anybody's timers`() async throws {
        let slow = try await ToolServer { _ in .mute }
        let quick = try await ToolServer { _ in .json("1") }
        let gateway = try await TestGateway.running(in: try await .fresh())
        let (one, _) = try await External.tenant(on: gateway)
        let calls = (0..<12).map { #"{"name":"t\#($0)","arguments":{}}"# }.joined(separator: ",")
        let tools = (0..<12).map {
            External.tool("http://127.0.0.1:\(slow.port)/").replacing(#""name":"charge""#, with: #""name":"t\#($0)""#)
        }
        let stuck = try await one.run(steps: [#"{"toolCalls":[\#(calls)]}"#, Config.says], tools: tools)
        // So many of one tenant are under way, and no more.
        #expect(await eventually { slow.received.count == Limits.scheduledOfTenantAtOnce })
        let (other, _) = try await External.tenant(on: gateway)
        let run = try await other.run(steps: [External.call, Config.says], tools: [External.tool("http://127.0.0.1:\(quick.port)/")])
        #expect(try await External.outcome(other, run)["result"]?.rawJSON.string == "1")
        let timer = #"{"name":"wait","executionType":"waiting","execution":{"seconds":1}}"#
        let waiting = try await one.run("waiter", steps: [Config.calls("wait"), Config.says], tools: [timer])
        #expect(try await one.events(waiting).last?.type == "run.completed")
        #expect(try await one.send("POST", "/api/runs/\(stuck)/cancel").status == 200)
        #expect(try await one.scheduled() == 0)
        await slow.close()
        await quick.close()
    }

    @Test func `tenants whose systems never answer hold no place that another tenant needs`() async throws {
        let mute = try await ToolServer { _ in .mute }
        let quick = try await ToolServer { _ in .json("1") }
        // Their attempts last as long as the test.
        let gateway = try await TestGateway.running(in: try await .fresh()) { $0.intervals.deliveryAttempt = .seconds(3600) }
        let (places, share) = (Limits.deliveriesAtOnce, Limits.scheduledOfTenantAtOnce)
        let kept = places / Limits.slotReserveDivisor
        var stuck: [(TestTenant, String)] = []
        for number in 0..<places / share + 1 {
            let (tenant, _) = try await External.tenant(on: gateway)
            let calls = (0..<share + 2).map { #"{"name":"t\#($0)","arguments":{}}"# }.joined(separator: ",")
            let tools = (0..<share + 2).map {
                External.tool("http://127.0.0.1:\(mute.port)/", timeoutSeconds: 3600)
                    .replacing(#""name":"charge""#, with: #""name":"t\#($0)""#)
            }
            stuck.append((tenant, try await tenant.run(steps: [#"{"toolCalls":[\#(calls)]}"#, Config.says], tools: tools)))
            // Full but for the places that are kept, of which those that come now get one each.
            let expected = min((number + 1) * share, places - kept) + max(0, number + 1 - (places - kept) / share)
            #expect(await eventually { mute.received.count >= expected }, "\(mute.received.count) of \(expected)")
        }
        for _ in 0..<3 {
            let (other, _) = try await External.tenant(on: gateway)
            let run = try await other.run(steps: [External.call, Config.says], tools: [External.tool("http://127.0.0.1:\(quick.port)/")])
            #expect(try await External.outcome(other, run)["result"]?.rawJSON.string == "1")
        }
        #expect(mute.received.count == places - kept + stuck.count - (places - kept) / share)
        for (tenant, run) in stuck { #expect(try await tenant.send("POST", "/api/runs/\(run)/cancel").status == 200) }
        await mute.close()
        await quick.close()
    }

    @Test func `a redirect is not followed, wherever it leads`() async throws {
        let target = try await ToolServer { _ in .json("1") }
        let places = ["http://127.0.0.1:\(target.port)/", "http://169.254.169.254/latest/meta-data/", "http://127.0.0.2:\(target.port)/"]
        let server = try await ToolServer { request in
            .redirect(307, places[Int(request.uri.dropFirst()) ?? 0])
        }
        let (tenant, _) = try await External.tenant()
        for index in places.indices {
            let run = try await tenant.run(
                "agent-\(index)", steps: [External.call, Config.says], tools: [External.tool("http://127.0.0.1:\(server.port)/\(index)")])
            let outcome = try await External.outcome(tenant, run)
            #expect(outcome["error"]?["code"]?.string == "redirect_refused", "\(outcome.rawJSON.string)")
        }
        #expect(server.received.count == places.count && target.received.isEmpty)
        await server.close()
        await target.close()
    }

    @Test func `a system where the gateway must not go is not asked, and that is final`() async throws {
        let server = try await ToolServer { _ in .json("1") }
        let (tenant, _) = try await External.tenant()
        for (index, url) in ["http://127.0.0.2:\(server.port)/", "http://169.254.169.254/", "http://[::1]:\(server.port)/"].enumerated() {
            let run = try await tenant.run("agent-\(index)", steps: [External.call, Config.says], tools: [External.tool(url)])
            let outcome = try await External.outcome(tenant, run)
            #expect(outcome["error"]?["code"]?.string == "egress_denied" && outcome["source"]?.string == "gateway", "\(url)")
        }
        #expect(server.received.isEmpty)
        await server.close()
    }

    @Test func `garbage is a result or an error, and what is huge is cut`() async throws {
        let server = try await ToolServer { request in
            switch request.uri {
            case "/broken": .json(#"{"a":"#)
            case "/binary": .init(200, "\u{0}\u{1}", type: "application/json")
            case "/huge": .json(#"{"a":"\#(String(repeating: "\\u0001", count: Limits.maxToolResultBytes))"}"#)
            case "/deep": .json(String(repeating: "[", count: 20_000))
            case "/odd": .init(299, "odd", headers: [("webhook-id", "x"), ("retry-after", "never")])
            default: .json(#"{"error":{"code":7}}"#)
            }
        }
        let (tenant, _) = try await External.tenant()
        var outcomes: [String: JSONNode] = [:]
        for path in ["broken", "binary", "huge", "deep", "odd", "error"] {
            let run = try await tenant.run(
                path, steps: [External.call, Config.says], tools: [External.tool("http://127.0.0.1:\(server.port)/\(path)")])
            outcomes[path] = try await External.outcome(tenant, run)
        }
        #expect(outcomes["broken"]?["result"]?.string == #"{"a":"#)
        #expect(outcomes["binary"]?["error"]?["code"]?.string == "not_text")
        let huge = try #require(outcomes["huge"]?["result"])
        #expect(huge["truncated"]?.bool == true && huge.raw.count <= Limits.maxToolResultBytes)
        #expect(huge["bytes"] == nil, "it is larger than what is read of an answer")
        #expect(outcomes["deep"]?["result"]?.string?.count == 20_000)
        #expect(outcomes["odd"]?["result"]?.string == "odd")
        #expect(outcomes["error"]?["error"]?["code"]?.string == "tool_failed")
        await server.close()
    }

    @Test func `a secret goes to its own hosts alone, also when they change after the publish`() async throws {
        let server = try await ToolServer { _ in .json("1") }
        let (tenant, _) = try await External.tenant()
        let value = "ext-\(UUID.version7().lowercased)"
        SuiteLog.noteSecret(value)
        _ = try await tenant.client.secrets.set("EXT", value: value, hosts: ["127.0.0.1:\(server.port)"])
        let tool = External.tool("http://127.0.0.1:\(server.port)/", headers: #"{"X-Key":"${secret.EXT}"}"#)
        try await tenant.agent(steps: [External.call, Config.says], tools: [tool])
        _ = try await tenant.client.secrets.set("EXT", value: value, hosts: ["elsewhere.test"])
        let run = try await tenant.client.runs.create(agent: .name("tester"), messages: [.user("Hi")]).runId
        #expect(try await External.outcome(tenant, run)["error"]?["message"]?.string?.contains("may not be sent to") == true)
        try await tenant.client.secrets.delete("EXT")
        let again = try await tenant.client.runs.create(agent: .name("tester"), messages: [.user("Hi")]).runId
        #expect(try await External.outcome(tenant, again)["error"]?["message"]?.string?.contains("needs the secret EXT") == true)
        #expect(server.received.isEmpty)
        await server.close()
    }
}
