import ArgumentParser
import HsafaClient
import JSON

struct Pull: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fetch the current config of an agent.",
        discussion: """
              hsafa pull my-agent                       to standard output
              hsafa pull my-agent -o agent.json
              hsafa pull my-agent --compact | jq .model
            """)

    @OptionGroup var connection: ConnectionOptions

    @Argument(help: "The agent's name or id.")
    var agent: String

    @Option(name: .shortAndLong, help: "The file to write; replaced if it exists.", completion: .file())
    var output: String?

    @Flag(help: "Leave the JSON on one line.")
    var compact = false

    func run() async throws {
        try await connection.withClient { client in
            let found =
                switch AgentReference(agent) {
                case .id(let id): try await client.agents.get(id)
                case .name(let name): try await client.agents.find(name: name)
                }
            guard let found else { throw Failure("There is no agent “\(agent)”.", exitCode: Failure.notFound) }
            guard let versionId = found.currentVersionId else {
                throw Failure("“\(agent)” has no published version.", exitCode: Failure.notFound)
            }
            guard let config = try await client.agents.version(found.agentId, versionId).config else {
                throw Failure("The gateway's answer has no config.")
            }
            let text = compact ? config.string + "\n" : PrettyJSON.text(try config.document().root)
            guard let output else { return Terminal.output.text(text) }
            try PrivateFile.replace(output, with: Array(text.utf8), mode: 0o644)
            Terminal.error.line("wrote \(output)")
        }
    }
}
