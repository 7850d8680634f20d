import ArgumentParser
import HsafaClient
import JSON

struct Publish: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Publish a config as a version of its agent.",
        discussion: """
            The agent is the one that the config names in /agent/name; it is created if there is none. Versions never change: publishing an \
            equal config finds the version that exists and makes it the current one, so going back is publishing again.

              hsafa publish agent.json
              hsafa publish agent.json --version-label 2026-11-22
              hsafa publish agent.json --json | jq -r .versionId
            """)

    @OptionGroup var connection: ConnectionOptions

    @Argument(help: "The config.", completion: .file(extensions: ["json"]))
    var file: String

    @Option(help: "The version's label. Default: the next integer.")
    var versionLabel: String?

    @Flag(help: "Print the gateway's answer.")
    var json = false

    func run() async throws {
        let file = try AgentFile(path: file)
        try await connection.withClient { client in
            let agent = try await findOrCreate(file, client)
            let published = try await client.agents.publish(agent.agentId, config: file.config, version: versionLabel)
            if json { return Terminal.output.json(published.version.json.bytes) }
            let version = published.version.version
            Terminal.output.line(
                published.created
                    ? "published \(agent.name) as version \(version)"
                    : "already published as version \(version), which is the current one now")
        }
    }

    private func findOrCreate(_ file: AgentFile, _ client: HsafaClient) async throws -> Agent {
        if let agent = try await client.agents.find(name: file.name) { return agent }
        do {
            let agent = try await client.agents.create(name: file.name, description: file.description)
            if !json { Terminal.output.line("created agent \(agent.name)") }
            return agent
        } catch {
            // Somebody created it meanwhile.
            guard error.status == 409, let agent = try await client.agents.find(name: file.name) else { throw error }
            return agent
        }
    }
}
