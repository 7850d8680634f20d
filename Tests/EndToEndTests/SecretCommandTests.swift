import Cryptography
import Domain
import Foundation
import HsafaClient
import JSON
import TestServers
import TestSupport
import Testing

/// Secrets, policies and approvals from the command lines, and the change of the master key, against the real binary.
@Suite(.serialized, .timeLimit(.minutes(5))) struct SecretCommandTests {
    private static func masterKey() -> String {
        let key = Base64.encode(SecureRandom.bytes(32))
        SuiteLog.noteSecret(key)
        return key
    }

    private static func config(_ port: Int) -> RawJSON {
        RawJSON(
            trusted: Array(
                #"""
                {"version":"1.0","agent":{"name":"caller"},"model":{"provider":"simulated","script":{"steps":[{"toolCalls":[{"name":"ping","arguments":{}}]},{"text":"Done."}]}},"tools":[{"name":"ping","executionType":"request","execution":{"url":"http://127.0.0.1:\#(port)/","headers":{"X-Key":"${secret.TOKEN}"}}}]}
                """#.utf8))
    }

    @Test func aMasterKeyIsChangedWithoutAMomentInWhichASecretDoesNotOpen() async throws {
        let environment = try await TestEnvironment.fresh()
        let key = try await environment.makeKey(try await environment.makeTenant())
        let (old, new) = (Self.masterKey(), Self.masterKey())
        let value = "token-\(UUID().uuidString)"
        SuiteLog.noteSecret(value)
        let server = try await ToolServer { _ in .json("{}") }
        let allow = ["EGRESS_ALLOW": "127.0.0.1:\(server.port)"]

        /// One life of a gateway with these keys: a run whose tool sends the secret.
        func serve(_ settings: [String: String], isFirst: Bool = false) async throws {
            let gateway = try GatewayProcess(environment, settings: settings.merging(allow) { $1 })
            try await gateway.start()
            let client = try HsafaClient(baseURL: gateway.url, apiKey: key, httpClient: HsafaClient.makeHTTPClient()).heldToContract()
            if isFirst {
                let variables = ["HSAFA_URL": gateway.url, "HSAFA_API_KEY": key]
                let set = try Command.run("hsafa", ["secrets", "set", "TOKEN", "--host", "127.0.0.1"], variables, input: value + "\n")
                #expect(set.status == 0 && !set.text.contains(value) && !set.error.contains(value), "\(set.error)")
                let list = try Command.run("hsafa", ["secrets", "list"], variables)
                #expect(list.text.contains("TOKEN") && list.text.contains("127.0.0.1") && !list.text.contains(value))
                #expect(try Command.run("hsafa", ["secrets", "set", "OTHER", "--host", "a.test"], variables).status == 64, "no value")
                #expect(try Command.run("hsafa", ["secrets", "set", "OTHER"], variables, input: value).status == 64, "no host")
                let short = try Command.run("hsafa", ["secrets", "set", "OTHER", "--host", "a.test"], variables, input: "x")
                #expect(short.status != 0 && short.error.contains("8"), "\(short.error)")
                #expect(try Command.run("hsafa", ["secrets", "delete", "OTHER"], variables).status == 4)
                let signing = try Command.run("hsafa", ["secrets", "rotate-webhook"], variables)
                #expect(signing.status == 0 && signing.line.hasPrefix("whsec_"), "\(signing.error)")
                SuiteLog.noteSecret(String(signing.line.dropFirst(6)))
                _ = try await client.agents.create(name: "caller", config: Self.config(server.port))
            }
            let before = server.received.count
            let run = try await client.runs.create(agent: .name("caller"), messages: [.user("go")]).runId
            var last = ""
            for try await event in client.runs.stream(run) {
                last = event.type
                #expect(!event.data.string.contains(value))
            }
            #expect(last == "run.completed")
            #expect(server.received.dropFirst(before).map { $0.header("x-key") } == [value])
            await client.shutdown()
            #expect(gateway.terminate() == 0)
        }
        func rotate(_ variables: [String: String]) throws -> Command {
            try Command.run(
                "hsafa-gateway", ["secrets", "rotate-master-key"],
                variables.merging(["DATABASE_OWNER_URL": environment.ownerURL]) { $1 })
        }

        try await serve(["MASTER_KEY": old, "MASTER_KEY_OTHERS": new], isFirst: true)
        #expect(try rotate([:]).error.contains("MASTER_KEY is not set"))
        let blind = try rotate(["MASTER_KEY": new])
        #expect(blind.status == 1 && blind.error.contains("TOKEN"), "\(blind.text) \(blind.error)")
        #expect(blind.error.contains("webhook secret"), "\(blind.text) \(blind.error)")
        try await serve(["MASTER_KEY": new, "MASTER_KEY_OTHERS": old])
        let rotated = try rotate(["MASTER_KEY": new, "MASTER_KEY_OTHERS": old])
        #expect(rotated.status == 0 && rotated.text.contains("Sealed 2 secrets"), "\(rotated.text) \(rotated.error)")
        #expect(!(rotated.text + rotated.error).contains(new) && !(rotated.text + rotated.error).contains(old))
        #expect(try rotate(["MASTER_KEY": new, "MASTER_KEY_OTHERS": old]).text.contains("Sealed 0 secrets"))
        // From a file, and without the old key.
        let file = NSTemporaryDirectory() + "/master-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: file) }
        try Data((new + "\n").utf8).write(to: URL(filePath: file))
        try await serve(["MASTER_KEY_FILE": file, "MASTER_KEY": ""])
        await server.close()
    }

    @Test func policiesAndApprovalsAreHandledFromTheCommandLine() async throws {
        let environment = try await TestEnvironment.fresh()
        let key = try await environment.makeKey(try await environment.makeTenant())
        let gateway = try GatewayProcess(environment)
        try await gateway.start()
        func hsafa(_ arguments: String..., input: String = "") throws -> Command {
            try Command.run("hsafa", arguments, ["HSAFA_URL": gateway.url, "HSAFA_API_KEY": key], input: input)
        }
        let policy = #"{"version":1,"rules":[{"id":"ask","effect":"require_approval","tools":["echo"],"targets":["server"]}]}"#
        let put = try hsafa("policies", "put", "ask-first", "-", input: policy)
        #expect(put.status == 0, "\(put.error)")
        #expect(try hsafa("policies", "list").text.contains("ask-first"))
        let asked = try hsafa("policies", "evaluate", "--target", "server", "--tool", "echo", "--arguments", "{}")
        #expect(asked.text.contains("require_approval") && asked.text.contains("ask"), "\(asked.text) \(asked.error)")
        #expect(try hsafa("policies", "put", "broken", "-", input: "{").status != 0)
        let wrong = try hsafa("policies", "put", "broken", "-", input: #"{"version":1,"rules":[{"id":"x","effect":"perhaps"}]}"#)
        #expect(wrong.status != 0 && wrong.error.contains("/rules/0/effect"), "\(wrong.error)")

        let client = try HsafaClient(baseURL: gateway.url, apiKey: key, httpClient: HsafaClient.makeHTTPClient()).heldToContract()
        let tool = #"{"name":"echo","executionType":"basic","execution":{"mode":"pass-through"}}"#
        let text = #"""
            {"version":"1.0","agent":{"name":"e"},"model":{"provider":"simulated","script":{"steps":[{"toolCalls":[{"name":"echo","arguments":{"n":1}}]},{"text":"Done."}]}},"tools":[\#(tool)]}
            """#
        _ = try await client.agents.create(name: "e", config: RawJSON(trusted: Array(text.utf8)))
        for verb in ["approve", "deny"] {
            let run = try await client.runs.create(agent: .name("e"), messages: [.user("go")]).runId
            for try await event in client.runs.stream(run) where event.type == "tool.call.approval_required" { break }
            let waiting = try hsafa("approvals", "list", "--json")
            let call = try #require(try JSONDocument(parsing: Array(waiting.line.utf8)).root["callId"]?.string, "\(waiting.error)")
            let other = String(repeating: "0", count: 64)
            #expect(try hsafa("approvals", verb, run, call, "--call-hash", other).status != 0, "another call was looked at")
            #expect(try hsafa("approvals", verb, run, call).status == 0)
            #expect(try hsafa("approvals", verb, run, call).status != 0, "it is decided")
            var types: [String] = []
            for try await event in client.runs.stream(run) { types.append(event.type) }
            #expect(types.last == "run.completed")
            #expect(types.contains(verb == "approve" ? "tool.call.approved" : "tool.call.denied"))
        }
        #expect(try hsafa("approvals", "list").text.contains("0198") == false)
        #expect(try hsafa("policies", "delete", "ask-first").status == 0)
        #expect(try hsafa("policies", "delete", "ask-first").status == 4)
        await client.shutdown()
        #expect(gateway.terminate() == 0)
    }
}
