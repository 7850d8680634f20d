import Domain
import Foundation
import Glibc
import JSON
import TestServers
import TestSupport
import Testing

/// `hsafa` as a tenant's developer uses it, against the real gateway.
@Suite(.timeLimit(.minutes(5))) struct AgentCommandTests {
    /// A gateway, a key of a tenant, and a folder to work in.
    private struct Desk {
        let gateway: GatewayProcess
        let key: String
        let folder: String

        static func make() async throws -> Desk {
            let environment = try await TestEnvironment.fresh()
            let gateway = try GatewayProcess(environment)
            try await gateway.start()
            let key = try await environment.makeKey(try await environment.makeTenant())
            return Desk(gateway: gateway, key: key, folder: try temporaryFolder([:]))
        }

        var variables: [String: String] { ["HSAFA_URL": gateway.url, "HSAFA_API_KEY": key] }
        func hsafa(_ words: String...) throws -> Command { try Command.run("hsafa", words, variables) }
        func path(_ name: String) -> String { folder + "/" + name }
        func write(_ name: String, _ text: String) throws { try text.write(toFile: path(name), atomically: false, encoding: .utf8) }
        func read(_ name: String) throws -> String { try String(contentsOfFile: path(name), encoding: .utf8) }

        /// An agent of these steps, published.
        func publish(_ name: String, steps: String, tools: String = "[]") throws {
            try write(
                "\(name).json",
                """
                {"version":"1.0","agent":{"name":"\(name)"},"model":{"provider":"simulated","script":{"steps":\(steps)}},"tools":\(tools)}
                """)
            let published = try hsafa("publish", path("\(name).json"))
            #expect(published.status == 0, "\(published.error)")
        }

        /// The events of a run, as `--json` prints them: an object a line.
        func events(_ run: Command) throws -> [JSONNode] {
            try run.text.split(separator: "\n").map { try JSONDocument(parsing: Array($0.utf8)).root }
        }
    }

    @Test func `an agent is written, checked, published, listed and fetched, and nobody's file is lost`() async throws {
        let desk = try await Desk.make()
        #expect(try desk.hsafa("init", "helper", "-d", desk.folder).status == 0)
        for file in ["agent.json", "tools.json"] {
            let valid = try desk.hsafa("validate", desk.path(file))
            #expect(valid.status == 0 && valid.text.contains(": valid: "), "\(valid.text)")
        }
        // Once more: what is there stays.
        try desk.write("agent.json", try desk.read("agent.json") + "\n")
        let mine = try desk.read("agent.json")
        let again = try desk.hsafa("init", "helper", "-d", desk.folder)
        #expect(again.status == 1 && again.error.contains("exists already"))
        #expect(try desk.read("agent.json") == mine)

        let first = try desk.hsafa("publish", desk.path("agent.json"))
        #expect(first.status == 0 && first.text.contains("created agent helper") && first.text.contains("as version 1"), "\(first.error)")
        #expect(try desk.hsafa("publish", desk.path("agent.json")).text.contains("already published as version 1"))
        let changed = mine.replacing("Reads notes", with: "Reads all notes")
        try #require(changed != mine)
        try desk.write("agent.json", changed)
        #expect(try desk.hsafa("publish", desk.path("agent.json")).text.contains("as version 2"))
        let listed = try desk.events(try desk.hsafa("list", "agents", "--json"))
        #expect(listed.compactMap { $0["name"]?.string } == ["helper"])

        // What stands beside the target, under a name that a program might take for its own, is its owner's.
        try desk.write("pulled.json.new", "mine")
        try desk.write("pulled.json", "old")
        #expect(try desk.hsafa("pull", "helper", "-o", desk.path("pulled.json")).status == 0)
        #expect(try desk.read("pulled.json.new") == "mine")
        #expect(try desk.hsafa("publish", desk.path("pulled.json")).text.contains("already published as version 2"))
        let names = try FileManager.default.contentsOfDirectory(atPath: desk.folder).sorted()
        #expect(names == ["agent.json", "data", "pulled.json", "pulled.json.new", "tools.json"])
        #expect(try desk.hsafa("pull", "nobody").status == 4)
    }

    @Test(arguments: [
        (#"{"version":"1.0","agent":{"name":"a"}"#, "agent.json: (document)"),
        (
            #"{"version":"1.0","agent":{"name":"a"},"model":{"provider":"simulated","script":{"steps":[{"text":"x"}]}},"colour":1}"#,
            "/colour"
        ),
        (#"{"version":"1.0","agent":{"name":"a"},"model":{"provider":"simulated","script":{"steps":[]}},"tools":7}"#, "/tools"),
        (#"{"tools":[{"name":"t"}]}"#, "/tools/0"),
    ])
    func `an invalid file is named with the place`(text: String, place: String) throws {
        let path = try temporaryFolder(["agent.json": text]) + "/agent.json"
        let refused = try Command.run("hsafa", ["validate", path], [:])
        #expect(refused.status == 1 && refused.text.hasPrefix(path) && refused.text.contains(place), "\(refused.text)")
        let json = try Command.run("hsafa", ["validate", path, "--json"], [:])
        #expect(json.status == 1)
        #expect(try json.json()["valid"]?.bool == false && json.json()["errors"]?.count == 1)
    }

    @Test func `a run's end is its exit code, its events are lines, and a pipe gets no colours`() async throws {
        let desk = try await Desk.make()
        try desk.publish("speaks", steps: #"[{"text":"Hello, you."}]"#)
        try desk.publish("breaks", steps: #"[{"error":{"code":"scripted","message":"No."}}]"#)
        let spoken = try desk.hsafa("run", "speaks", "Hi")
        #expect(spoken.status == 0 && spoken.text.contains("Hello, you."), "\(spoken.error)")
        #expect(!(spoken.text + spoken.error).contains("\u{1B}"))
        #expect(try desk.hsafa("run", "breaks", "Hi").status == 1)
        let events = try desk.events(try desk.hsafa("run", "speaks", "Hi", "--json"))
        #expect(events.last?["type"]?.string == "run.completed")
        #expect(events.compactMap { $0["seq"]?.int } == Array(1...events.count))
        // Watched again, from the middle: the rest, once.
        let run = try #require(events.last?["runId"]?.string)
        let rest = try desk.events(try desk.hsafa("watch", run, "--since", "2", "--json"))
        #expect(rest.compactMap { $0["seq"]?.int } == Array(3...events.count))
    }

    @Test func `a device reads below its folder alone, and what a command leaves behind ends with it`() async throws {
        let desk = try await Desk.make()
        try desk.write("secret.txt", "outside")
        try FileManager.default.createDirectory(atPath: desk.path("data/folder"), withIntermediateDirectories: true)
        try desk.write("data/notes.txt", "inside")
        #expect(symlink(desk.path("secret.txt"), desk.path("data/link")) == 0)
        #expect(mkfifo(desk.path("data/fifo"), 0o600) == 0)
        try desk.write(
            "tools.json",
            #"""
            {"tools":[{"name":"fs.read","inputSchema":{"type":"object"},"readFile":{"root":"./data"}},
                      {"name":"uname","inputSchema":{"type":"object"},"run":{"command":["sh","-c","sleep 600 >/dev/null 2>&1 & echo $!"]}}]}
            """#)
        let token = try desk.hsafa("device", "token", "--label", "zone=demo", "--auto-approve", "--json").string("token")
        let enrolled = try desk.hsafa("device", "enroll", "--token", token, "--name", "d", "--state", desk.path("state"))
        #expect(enrolled.status == 0, "\(enrolled.error)")
        let device = try ChildProcess(
            [
                try TestEnvironment.variable("TEST_BIN") + "/hsafa", "device", "connect", "--state", desk.path("state"), "--tools",
                desk.path("tools.json"),
            ], environment: desk.variables)
        defer { device.kill() }

        let paths = ["notes.txt", "../secret.txt", desk.path("secret.txt"), "link", "folder", "fifo", "missing"]
        let calls = paths.map { #"{"name":"fs.read","arguments":{"path":"\#($0)"}}"# } + [#"{"name":"uname","arguments":{}}"#]
        let tools = ["fs.read", "uname"].map { #"{"name":"\#($0)","target":"device","device":{"labels":{"zone":"demo"}}}"# }
        try desk.publish(
            "reads", steps: #"[{"toolCalls":[\#(calls.joined(separator: ","))]},{"text":"done"}]"#,
            tools: "[" + tools.joined(separator: ",") + "]")
        let run = try desk.hsafa("run", "reads", "Read.", "--json")
        #expect(run.status == 0, "\(run.error)")
        let results = try desk.events(run).filter { $0["type"]?.string == "tool.result.received" }.compactMap { $0["data"] }
        #expect(results.count == calls.count)
        #expect(results.compactMap { $0["result"]?["content"]?.string } == ["inside"])
        #expect(results.count { $0["error"]?["code"]?.string != nil } == paths.count - 1, "\(run.text)")
        #expect(!run.text.contains("outside"))

        let printed = results.compactMap { $0["result"]?["stdout"]?.string }
        let left = try #require(printed.first)
        let pid = try #require(Int32(left.trimmingCharacters(in: .whitespacesAndNewlines)))
        #expect(await eventually { Glibc.kill(pid, 0) != 0 || isZombie(pid) })
    }

    /// Ended, and not yet looked at by whoever has taken it over.
    private func isZombie(_ pid: Int32) -> Bool {
        (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8))?.contains(") Z ") ?? true
    }
}
