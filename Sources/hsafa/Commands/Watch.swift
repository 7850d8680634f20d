import ArgumentParser
import HsafaClient
import JSON

struct Watch: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Follow a run until its end.",
        discussion: """
            Shows the text as it grows, tool calls and their results, and how it ended. A lost connection is taken up again where it broke; \
            leaving with Ctrl-C does not touch the run. The exit code says how the run ended: 0 completed, 1 failed, 6 canceled.

              hsafa watch 0193…                  from the run's first event
              hsafa watch 0193… --since 42       what came after event 42
              hsafa watch 0193… --json | jq -r 'select(.type=="assistant.delta").data.text'
            """)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var view: ViewOptions

    @Argument(help: "The run's id.")
    var runId: String

    @Option(help: "Start after this event: its seq, or an SSE id such as 42-0.")
    var since: String?

    func validate() throws { _ = try cursor() }

    func run() async throws {
        let since = try cursor()
        let status = try await connection.withClient { client in try await view.follow(runId, since: since, client) }
        try ViewOptions.end(with: status)
    }

    private func cursor() throws -> Int? {
        guard let since else { return nil }
        let seq = since.hasSuffix("-0") ? Int(since.dropLast(2)) : Int(since)
        guard let seq, seq >= 0 else { throw ValidationError("--since must be a seq like 42 or an id like 42-0.") }
        return seq
    }
}

/// How a run is shown, for `run` and `watch`.
struct ViewOptions: ParsableArguments {
    @Flag(help: "Print the events as they came, one JSON object a line.")
    var json = false

    @Flag(help: "Show the model's reasoning too.")
    var reasoning = false

    /// The run's final status.
    func follow(_ runId: String, since: Int? = nil, _ client: HsafaClient) async throws -> String {
        var printer = RunPrinter(showsReasoning: reasoning)
        for try await event in client.runs.stream(runId, since: since, onNotice: Self.report) {
            if json { Terminal.output.json(event.raw.bytes) } else { try printer.show(event) }
            if event.isTerminal { return String(event.type.dropFirst("run.".count)) }
        }
        // Everything was seen before: the stream had nothing to send.
        let run = try await client.runs.get(runId)
        if !json { Terminal.output.line(run.status) }
        return run.status
    }

    static func end(with status: String) throws {
        switch status {
        case "completed": return
        case "canceled": throw ExitCode(Failure.runCanceled)
        default: throw ExitCode(Failure.general)
        }
    }

    private static func report(_ notice: RunStream.Notice) {
        let terminal = Terminal.error
        switch notice {
        case .connected: return
        case .interrupted(let reason, let delay, let attempt):
            terminal.line(terminal.dim("· \(Terminal.brief(reason, limit: 200)) Again in \(delay) (attempt \(attempt))."))
        case .gap(_, let earliest, let latest):
            terminal.line(terminal.yellow("· Events before \(earliest) are past retention; the last one is \(latest)."))
        }
    }
}
