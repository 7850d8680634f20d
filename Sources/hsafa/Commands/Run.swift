import ArgumentParser
import Glibc
import HsafaClient
import JSON

struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Start a run of an agent and watch it.",
        discussion: """
            The exit code says how the run ended: 0 completed, 1 failed, 6 canceled. Leaving with Ctrl-C does not touch the run.

              hsafa run my-agent "What is in my notes?"
              echo "a long question" | hsafa run my-agent -
              hsafa run my-agent "And tomorrow?" --previous-run 0193…    go on with a conversation
              id=$(hsafa run my-agent "Hello" --no-watch)                only start it
            """)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var view: ViewOptions

    @Argument(help: "The agent's name or id.")
    var agent: String

    @Argument(help: "The user's message; - reads it from standard input.")
    var message: String

    @Flag(inversion: .prefixedNo, help: "Watch the run until its end; else print its id, or the gateway's answer with --json.")
    var watch = true

    @Option(help: "The finished run whose conversation goes on.")
    var previousRun: String?

    @Option(help: "The run fails if it has not ended by then.")
    var deadlineSeconds: Int?

    @Option(help: "Started again with the same key, it is the same run (for 24 h).")
    var idempotencyKey: String?

    func run() async throws {
        let text =
            try message == "-"
            ? String(decoding: PrivateFile.readAll(STDIN_FILENO, path: "standard input", maxBytes: 1 << 20), as: UTF8.self) : message
        let status: String? = try await connection.withClient { client in
            let run = try await client.runs.create(
                agent: AgentReference(agent), messages: [.user(text)], previousRunId: previousRun, deadlineSeconds: deadlineSeconds,
                idempotencyKey: idempotencyKey)
            guard watch else {
                if view.json { Terminal.output.json(run.json.bytes) } else { Terminal.output.line(run.runId) }
                return nil
            }
            return try await view.follow(run.runId, client)
        }
        if let status { try ViewOptions.end(with: status) }
    }
}
