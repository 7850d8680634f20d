import Domain
import Foundation
import Glibc
import HsafaClient
import JSON
import Storage
import TestServers
import TestSupport
import Testing

/// The real binary and its policies folder.
@Suite(.serialized) struct PolicyTests {
    private static let asks = """
        version: 1
        rules:
          - id: person
            tools: [echo]
            effect: require_approval
        """

    private func withFolder<R>(_ policy: String, _ body: (String) async throws -> R) async throws -> R {
        try await body(try temporaryFolder(["policy.yaml": policy]))
    }

    private static func config(_ name: String, _ step: String) -> RawJSON {
        let tool = #"{"name":"echo","executionType":"basic","execution":{"mode":"pass-through"}}"#
        let text =
            #"{"version":"1.0","agent":{"name":"\#(name)"},"model":{"provider":"simulated","script":{"steps":[\#(step),{"text":"Done."}]}},"#
            + #""tools":[\#(tool)]}"#
        return RawJSON(trusted: Array(text.utf8))
    }

    private func write(_ policy: String, to folder: String, _ name: String = "policy.yaml") throws {
        try Data(policy.utf8).write(to: URL(filePath: "\(folder)/\(name)"))
    }
    @Test func killingTheGatewayBetweenApprovalAndDispatchLosesNothing() async throws {
        let environment = try await TestEnvironment.fresh()
        let scope = try await environment.makeTenant()
        let key = try await environment.makeKey(scope)
        try await withFolder(Self.asks) { folder in
            // Its one place for runs will be taken, so that what is approved waits in the queue.
            let first = try GatewayProcess(environment, settings: ["POLICIES_DIR": folder, "MAX_CONCURRENT_RUNS": "1"])
            let second = try GatewayProcess(environment, settings: ["POLICIES_DIR": folder])
            try await first.start()
            let run = try await first.withClient(key: key) { client in
                _ = try await client.agents.create(
                    name: "e", config: Self.config("e", #"{"toolCalls":[{"name":"echo","arguments":{"n":1}}]}"#))
                _ = try await client.agents.create(
                    name: "busy", config: Self.config("busy", #"{"initialDelayMilliseconds":60000,"text":"Late."}"#))
                let run = try await client.runs.create(agent: .name("e"), messages: [.user("go")]).runId
                for try await event in client.runs.stream(run) where event.type == "run.status" { break }
                let call = try #require(try await client.approvals.list(status: "pending").items.first).callId
                let busy = try await client.runs.create(agent: .name("busy"), messages: [.user("go")]).runId
                for try await event in client.runs.stream(busy) where event.type == "step.started" { break }
                #expect(try await client.approvals.approve(run, call).status == "approved")
                return run
            }
            first.kill9()
            let before = try await environment.database.tenant(scope).toolCallPage(of: try #require(RunID(run)), limit: 100, after: nil)
                .items
            #expect(before.map(\.status) == [.requested], "approved, and nobody has carried it out")
            try await second.start()
            try await second.withClient(key: key) { client in
                var types: [String] = []
                for try await event in client.runs.stream(run) { types.append(event.type) }
                #expect(types.last == "run.completed")
                #expect(types.filter { $0 == "tool.call.approved" }.count == 1)
                #expect(types.filter { $0 == "tool.result.received" }.count == 1)
            }
            #expect(second.terminate() == 0)
        }
    }

    @Test func anInvalidFolderStopsTheStartAndLaterLeavesTheOldSetInForce() async throws {
        let environment = try await TestEnvironment.fresh()
        let key = try await environment.makeKey(try await environment.makeTenant())
        try await withFolder("version: 1\nrules:\n  - id: a\n    effect: perhaps\n") { folder in
            let gateway = try GatewayProcess(environment, settings: ["POLICIES_DIR": folder])
            #expect(try gateway.runToEnd() != 0)
            let log = try String(contentsOfFile: gateway.logFile, encoding: .utf8)
            #expect(log.contains("policy.yaml:4:") && log.contains("allow, deny or require_approval"))
            try write("version: 1\nrules:\n  - id: a\n    effect: allow\n", to: folder)
            try await gateway.start()
            try await gateway.withClient(key: key) { client in
                func decision() async throws -> String {
                    try await client.policies.evaluate(RawJSON("{\"target\":\"server\",\"tool\":\"x\"}")).decision
                }
                #expect(try await decision() == "allow")
                try write("version: 1\nrules:\n  - id: a\n    effect: deny\n", to: folder)
                gateway.signal(SIGHUP)
                #expect(try await eventually(within: 60) { try await decision() == "deny" })
                try write("version: 1\nrules: nothing\n", to: folder)
                gateway.signal(SIGHUP)
                #expect(
                    try await eventually(within: 60) {
                        try String(contentsOfFile: gateway.logFile, encoding: .utf8).contains("the old ones stay in force")
                    })
                #expect(try await decision() == "deny")
            }
            #expect(gateway.terminate() == 0)
        }
    }

    @Test func processesOverOneFolderNoticeWhatChangesByThemselves() async throws {
        let environment = try await TestEnvironment.fresh()
        let key = try await environment.makeKey(try await environment.makeTenant())
        let admin = try await environment.makeAdminKey()
        func policy(_ effect: String) -> String { "version: 1\nrules:\n  - id: a\n    effect: \(effect)\n" }
        try await withFolder(policy("allow")) { folder in
            let gateways = [
                try GatewayProcess(environment, settings: ["POLICIES_DIR": folder]),
                try GatewayProcess(environment, settings: ["POLICIES_DIR": folder]),
            ]
            for gateway in gateways { try await gateway.start() }
            func decisions() async throws -> [String] {
                var decisions: [String] = []
                for gateway in gateways {
                    decisions.append(
                        try await gateway.withClient(key: key) {
                            try await $0.policies.evaluate(RawJSON("{\"target\":\"server\",\"tool\":\"x\"}")).decision
                        })
                }
                return decisions
            }
            /// What each process says of the folder.
            func folders() async throws -> [JSONNode] {
                var folders: [JSONNode] = []
                for gateway in gateways {
                    folders.append(
                        try await gateway.withClient(key: admin) { client in
                            let answer = try await client.raw("GET", "/api/admin/policies")
                            #expect(answer.status == 200)
                            return try JSONDocument(parsing: answer.body).root
                        })
                }
                return folders
            }
            #expect(try await decisions() == ["allow", "allow"])
            // Nobody is signalled from here on.
            try write(policy("deny"), to: folder)
            #expect(try await eventually { try await decisions() == ["deny", "deny"] })
            let before = try await folders()
            #expect(Set(before.map { $0["hash"]?.string ?? "" }).count == 1, "equal policies have equal hashes")
            #expect(before.allSatisfy { $0["errors"]?.count == 0 })
            // What cannot be read leaves the old set, and says where it is wrong.
            try write("version: 1\nrules:\n  - id: a\n    effect: perhaps\n", to: folder)
            #expect(try await eventually { try await folders().allSatisfy { $0["errors"]?.count == 1 } })
            for now in try await folders() {
                #expect(now["hash"]?.string == before[0]["hash"]?.string)
                #expect(now["errors"]?[0]?["file"]?.string == "policy.yaml" && now["errors"]?[0]?["line"]?.int == 4)
            }
            #expect(try await decisions() == ["deny", "deny"])
            // Mended, and more: a second file, which is written after both have seen the first.
            try write(policy("require_approval"), to: folder)
            #expect(try await eventually { try await decisions() == ["require_approval", "require_approval"] })
            try write("version: 1\nrules:\n  - id: b\n    tools: [\"x\"]\n    effect: deny\n", to: folder, "second.yaml")
            #expect(try await eventually { try await decisions() == ["deny", "deny"] })
            let after = try await folders()
            #expect(
                after.allSatisfy { $0["errors"]?.count == 0 && $0["rules"]?.int == 2 && $0["hash"]?.string == after[0]["hash"]?.string })
            for gateway in gateways {
                let log = try String(contentsOfFile: gateway.logFile, encoding: .utf8)
                #expect(log.contains("the old ones stay in force"))
                #expect(gateway.terminate() == 0)
            }
        }
    }

    @Test func theCommandsCheckTestAndExplainAFolder() async throws {
        let gateway = try GatewayProcess(try await TestEnvironment.start())
        let shipped = TestEnvironment.repository + "/policies"
        #expect(try gateway.command(["policy", "check", shipped]).status == 0)
        let tests = try gateway.command(["policy", "test", shipped])
        #expect(tests.status == 0 && tests.output.hasSuffix("0 failed"))
        let explained = try gateway.command([
            "policy", "explain", shipped, "--target", "device", "--tool", "fs.read", "--arguments", #"{"path":"/root/.ssh/id_rsa"}"#,
        ])
        #expect(explained.output.hasPrefix("deny (no-credentials-from-devices)"))
        #expect(explained.output.contains("read-only-device-tools"))
        try await withFolder(Self.asks) { folder in
            let failing =
                "version: 1\ntests:\n  - name: wrong\n    given: { target: server, tool: echo }\n    expect: { decision: allow }\n"
            try write(failing, to: folder, "policy.test.yaml")
            let report = try gateway.command(["policy", "test", folder])
            #expect(report.status == 1 && report.output.contains("policy.test.yaml:3: wrong: expected allow, decided require_approval"))
            try write("version: 2\n", to: folder)
            #expect(try gateway.command(["policy", "check", folder]).status == 1)
        }
    }
}
