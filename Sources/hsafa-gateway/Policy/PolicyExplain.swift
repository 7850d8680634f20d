import ArgumentParser
import Domain
import JSON
import Runtime

struct PolicyExplain: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Say what would be decided about a call, and what each rule had to say.",
        discussion: """
            Example:
              hsafa-gateway policy explain --tenant acme --agent research-1 --target device --tool fs.read \\
                  --arguments '{"path":"/data/a"}' --label zone=lab
            """)

    @Argument(help: "The folder.") var folder: String?
    @Option(help: "The tenant's slug.") var tenant = "any"
    @Option(help: "The agent's name.") var agent = "any"
    @Option(help: "server, device, browser or external.") var target: String
    @Option(help: "The tool's name.") var tool: String
    @Option(help: "The arguments, a JSON object; without them rules with `when` may match.") var arguments: String?
    @Option(help: "A label of the device, name=value; may be repeated.") var label: [String] = []

    func run() throws {
        let question = try question()
        let policies = EffectivePolicies(folder: try PolicyFolder(Policy.folder(folder)).set)
        let decision = policies.decide(question)
        let by = decision.rules.isEmpty ? decision.reason.rawValue : decision.rules.joined(separator: ", ")
        print("\(decision.effect.rawValue) (\(by))")
        if decision.limits != .none { print("limits \(decision.limits.json)") }
        if let seconds = decision.approvalSeconds { print("approval within \(seconds) s") }
        for rule in policies.explain(question) {
            let mark =
                switch rule.result {
                case .matched: "✓"
                case .possible: "?"
                case .notMatched: "·"
                case .undecided: "!"
                }
            print("  \(mark) \(rule.rule) [\(rule.effect.rawValue)]: \(rule.because)")
        }
    }

    private func question() throws -> PolicyQuestion {
        guard let target = ToolTarget(rawValue: target) else {
            throw ValidationError("--target must be server, device, browser or external.")
        }
        let document = try arguments.map { text in
            guard let document = try? JSONDocument(parsing: Array(text.utf8)), document.root.kind == .object else {
                throw ValidationError("--arguments must be one JSON object.")
            }
            return document
        }
        var labels: [String: String] = [:]
        for pair in label {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty else { throw ValidationError("--label must be name=value.") }
            labels[String(parts[0])] = String(parts[1])
        }
        return PolicyQuestion(
            tenantSlug: tenant, agentName: agent, target: target, tool: tool, arguments: document?.root,
            device: label.isEmpty ? .open(labels: [:]) : .chosen(labels: labels))
    }
}
