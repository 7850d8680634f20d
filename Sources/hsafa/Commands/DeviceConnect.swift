import ArgumentParser
import HsafaClient
import JSON

struct DeviceConnect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connect",
        abstract: "Connect an enrolled device and carry out what agents ask of it.",
        discussion: """
            Stays until Ctrl-C, takes up lost connections by itself, and ends when the device is revoked or another process connects as it. \
            Outcomes are kept in the state folder: a call that comes again is answered, not carried out again.

              hsafa device connect --tools tools.json

            THE FILE OF TOOLS
              { "tools": [
                { "name": "fs.read", "description": "Reads a note.",
                  "inputSchema": { "type": "object", "properties": { "path": { "type": "string" } }, "required": ["path"] },
                  "readFile": { "root": "./data", "maxBytes": 65536 } },
                { "name": "disk", "description": "How full a mount point is.",
                  "inputSchema": { "type": "object", "properties": { "mount": { "type": "string" } }, "required": ["mount"] },
                  "run": { "command": ["df", "-h", "{{mount}}"], "timeoutSeconds": 5, "maxOutputBytes": 65536 } } ] }

              readFile  {path} → {path, bytes, content, truncated}; below root only, and through no link
              run       → {exitCode, stdout, stderr}; no shell; {{name}} is one whole item and may not begin with “-”
            """)

    @OptionGroup var state: DeviceStateOptions

    @Option(help: "The gateway. Default: where the device enrolled.")
    var url: String?

    @Option(help: "The file of tools.", completion: .file(extensions: ["json"]))
    var tools: String

    @Option(help: "Calls that run at the same time, 1 to 64; others wait.")
    var concurrency = 4

    @Flag(help: "Do not connect again when the connection ends.")
    var once = false

    func validate() throws {
        guard (1...64).contains(concurrency) else { throw ValidationError("--concurrency must be 1 to 64.") }
    }

    func run() async throws {
        let tools = try ToolFile(path: tools)
        let folder = DeviceState(directory: state.state)
        guard let key = try folder.loadKey(), let record = try folder.loadRecord() else {
            throw Failure("There is no device in \(state.state): `hsafa device enroll` makes one.", exitCode: Failure.notFound)
        }
        var options = DeviceConnection.Options()
        options.maxConcurrentCalls = concurrency
        options.reconnects = !once
        let connection = DeviceConnection(
            gatewayURL: url ?? record.url, identity: .init(deviceId: record.deviceId, key: key, audience: record.audience),
            tools: tools.tools.map(\.declaration), outcomes: try OutcomeStore(path: folder.outcomesPath), options: options,
            onNotice: Self.report
        ) { call in await tools.perform(call) }
        Terminal.error.line("connecting to \(url ?? record.url) as \(record.deviceKey); Ctrl-C ends")
        try await untilInterrupted { () async throws(DeviceConnectionError) in try await connection.run() }
        Terminal.error.line("disconnected")
    }

    private static func report(_ notice: DeviceConnection.Notice) {
        let terminal = Terminal.output
        switch notice {
        case .registered(let sessionId): terminal.line("\(terminal.green("●")) connected \(terminal.dim("session \(sessionId)"))")
        case .disconnected(let error, let delay): terminal.line("\(terminal.yellow("○")) \(Terminal.safe("\(error)")) Again in \(delay).")
        case .callStarted(let call):
            terminal.line(
                "\(terminal.cyan("→")) \(terminal.bold(Terminal.brief(call.name, limit: 64))) \(Terminal.brief(call.args.string, limit: 200))"
            )
        case .callFinished(let call, let outcome):
            terminal.line("\(symbol(outcome)) \(Terminal.brief(call.name, limit: 64)) \(brief(outcome))")
        case .callRepeated(let call):
            terminal.line(terminal.dim("· \(Terminal.brief(call.name, limit: 64)) came again; answered as before"))
        case .callCanceled(let callId, let reason):
            terminal.line(terminal.dim("· call \(Terminal.brief(callId, limit: 40)) canceled: \(Terminal.brief(reason, limit: 200))"))
        case .acknowledged(let callId, let applied):
            if !applied { terminal.line(terminal.dim("· call \(Terminal.brief(callId, limit: 40)): an earlier outcome stands")) }
        case .warning(let text): terminal.line("\(terminal.yellow("!")) \(Terminal.safe(text))")
        }
    }

    private static func symbol(_ outcome: ToolOutcome) -> String {
        if case .result = outcome { Terminal.output.green("←") } else { Terminal.output.red("✗") }
    }

    private static func brief(_ outcome: ToolOutcome) -> String {
        switch outcome {
        case .result(let json): Terminal.brief(json.string, limit: 200)
        case .error(let code, let message): Terminal.brief("\(message) (\(code))", limit: 200)
        }
    }
}
