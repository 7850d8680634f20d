import ArgumentParser
import HsafaClient
import JSON

struct PoliciesGroup: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policies",
        abstract: "The tenant's own policies: list, put, delete, and ask what would be decided.",
        discussion: """
            Needs policies:read or policies:write. A tenant's policies can only narrow what the operator of the gateway allows.

              hsafa policies list
              hsafa policies put ask-first ask-first.json
              hsafa policies evaluate --target device --tool fs.write --arguments '{"path":"/tmp/x"}'
              hsafa policies delete ask-first
            """,
        subcommands: [PoliciesList.self, PoliciesPut.self, PoliciesDelete.self, PoliciesEvaluate.self])
}

struct PoliciesList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "What is in force, the operator's rules and the tenant's own policies.")

    @OptionGroup var connection: ConnectionOptions
    @Flag(help: "Print the gateway's answer.") var json = false

    func run() async throws {
        let effective = try await connection.withClient { try await $0.policies.get() }
        if json { return Terminal.output.json(effective.json.bytes) }
        Terminal.output.line(Terminal.output.dim("in force: \(effective.hash)"))
        for rule in effective.folderRules { Terminal.output.line("operator  \(rule.string)") }
        for policy in effective.policies {
            Terminal.output.line("\(policy.name)  revision \(policy.revision)  \(policy.hash)  \(policy.updatedAt ?? "-")")
        }
    }
}

struct PoliciesPut: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "put", abstract: "Write a policy from a JSON file, {\"version\":1,\"rules\":[…]}; - reads standard input.")

    @OptionGroup var connection: ConnectionOptions
    @Argument(help: "The policy's name.") var name: String
    @Argument(help: "The file.") var file: String
    @Flag(help: "Print the gateway's answer.") var json = false

    func run() async throws {
        let bytes = try file == "-" ? Self.standardInput() : PrivateFile.read(file, maxBytes: Self.maxBytes)
        let document: RawJSON
        do { document = try RawJSON(validating: bytes) } catch { throw Failure("\(file) is not JSON: \(error)") }
        let policy = try await connection.withClient { try await $0.policies.put(name, document) }
        for warning in policy.warnings { Terminal.error.line("warning: \(warning)") }
        if json { return Terminal.output.json(policy.json.bytes) }
        Terminal.output.line("\(policy.name)  revision \(policy.revision)  \(policy.hash)")
    }

    private static let maxBytes = 1 << 20

    private static func standardInput() throws -> [UInt8] {
        var text = ""
        while let line = readLine(strippingNewline: false), text.utf8.count <= maxBytes { text += line }
        return Array(text.utf8)
    }
}

struct PoliciesDelete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Remove a policy: what it narrowed is as wide again as the operator's rules.")

    @OptionGroup var connection: ConnectionOptions
    @Argument(help: "The policy's name.") var name: String

    func run() async throws {
        try await connection.withClient { try await $0.policies.delete(name) }
        Terminal.error.line(Terminal.error.dim("deleted"))
    }
}

struct PoliciesEvaluate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate", abstract: "Ask what would be decided about a call, and why; nothing is counted.")

    @OptionGroup var connection: ConnectionOptions
    @Option(help: "The agent's name.") var agent: String?
    @Option(help: "server, device, browser or external.") var target: String
    @Option(help: "The tool's name.") var tool: String
    @Option(help: "The arguments, a JSON object; without them rules that look at them may match.") var arguments: String?
    @Option(help: "A label of the device, name=value; may be repeated.") var label: [String] = []
    @Flag(help: "Print the gateway's answer.") var json = false

    func run() async throws {
        let question = try question()
        let evaluation = try await connection.withClient { try await $0.policies.evaluate(question) }
        if json { return Terminal.output.json(evaluation.json.bytes) }
        let by = evaluation.rules.isEmpty ? evaluation.reason : evaluation.rules.joined(separator: ", ")
        Terminal.output.line("\(evaluation.decision) (\(by))")
        for rule in evaluation.evaluated {
            Terminal.output.line("  \(rule.result)  \(rule.rule) [\(rule.effect)]: \(rule.because)")
        }
    }

    private func question() throws -> RawJSON {
        let arguments = try self.arguments.map { text in
            do { return try RawJSON(validating: Array(text.utf8)) } catch { throw ValidationError("--arguments must be JSON: \(error)") }
        }
        var labels: [(String, String)] = []
        for pair in label {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty else { throw ValidationError("--label must be name=value.") }
            labels.append((String(parts[0]), String(parts[1])))
        }
        return RawJSON.object { writer in
            writer.field("agent", stringIfPresent: agent)
            writer.field("target", string: target)
            writer.field("tool", string: tool)
            writer.field("arguments", rawIfPresent: arguments)
            if !labels.isEmpty {
                writer.field(
                    "device",
                    raw: .object {
                        $0.field("labels", raw: .object { all in for (name, value) in labels { all.field(name, string: value) } })
                    })
            }
        }
    }
}
