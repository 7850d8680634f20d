import ArgumentParser
import HsafaClient

struct Init: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write an example agent and an example set of device tools.",
        discussion: """
            Writes agent.json, tools.json and data/notes.txt. The agent's model is simulated: it plays the script in agent.json, so the \
            whole round works without a model vendor.

              hsafa init                        an agent called device-demo, in this folder
              hsafa init my-agent -d agents/my-agent
            """)

    @Argument(help: "The agent's name.")
    var name = "device-demo"

    @Option(name: [.short, .long], help: "The folder to write into; made if missing.")
    var directory = "."

    @Flag(help: "Overwrite files that exist.")
    var force = false

    func validate() throws {
        guard AgentFile.isValidName(name) else { throw ValidationError("An agent's name \(AgentFile.nameRule).") }
    }

    func run() throws {
        let files = [
            ("agent.json", Examples.agent(name: name)), ("tools.json", Examples.tools), ("data/notes.txt", Examples.notes),
        ]
        if !force {
            for (path, _) in files where try PrivateFile.readIfPresent("\(directory)/\(path)", maxBytes: 16 << 20) != nil {
                throw Failure("\(directory)/\(path) exists already; --force overwrites it.")
            }
        }
        try PrivateFile.makeDirectories("\(directory)/data", mode: 0o755)
        for (path, text) in files {
            try PrivateFile.replace("\(directory)/\(path)", with: Array(text.utf8), mode: 0o644)
            Terminal.output.line("wrote \(directory)/\(path)")
        }
        Terminal.output.line("Next: hsafa validate \(directory)/agent.json && hsafa publish \(directory)/agent.json")
    }
}
