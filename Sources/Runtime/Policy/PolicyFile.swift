import Domain
import Yams

/// Reads one policy file (YAML 1.2, `version: 1`), strictly: what it does not know is an error with its line.
enum PolicyFile {
    static func read(_ text: String, name: String) throws -> [PolicyRule] {
        let root: Node?
        do { root = try Yams.compose(yaml: text) } catch { throw PolicyBook.Failure(description: "\(name): not valid YAML: \(error)") }
        guard let root else { return [] }
        var reader = try MappingReader(root, file: name, what: "the file")
        guard let version = try reader.take("version"), version.int == 1 else {
            throw reader.failure("needs `version: 1` as its first key", at: root)
        }
        var rules: [PolicyRule] = []
        if let list = try reader.take("rules") {
            guard let sequence = list.sequence else { throw reader.failure("rules must be a list", at: list) }
            for node in sequence { rules.append(try rule(node, file: name)) }
        }
        try reader.finish()
        return rules
    }

    private static func rule(_ node: Node, file: String) throws -> PolicyRule {
        var reader = try MappingReader(node, file: file, what: "a rule")
        guard let idNode = try reader.take("id"), let id = idNode.string, !id.isEmpty else {
            throw reader.failure("a rule needs an `id`", at: node)
        }
        guard let effectNode = try reader.take("effect"), let effectText = effectNode.string else {
            throw reader.failure("rule \(id) needs `effect: allow` or `effect: deny`", at: node)
        }
        guard let effect = PolicyEffect(rawValue: effectText) else {
            throw reader.failure("rule \(id): effect is \(effectText); it can be allow or deny", at: effectNode)
        }
        let targets = try reader.strings("targets").map { texts in
            try Set(
                texts.map { text in
                    guard let target = ToolTarget(rawValue: text) else {
                        throw reader.failure("rule \(id): target \(text) is none of server, device, browser, external", at: node)
                    }
                    return target
                })
        }
        let rule = PolicyRule(
            id: id, tenants: try reader.strings("tenants")?.map(Glob.init), agents: try reader.strings("agents")?.map(Glob.init),
            targets: targets, tools: try reader.strings("tools")?.map(Glob.init), effect: effect)
        try reader.finish()
        return rule
    }
}

/// Takes the keys of one mapping and refuses what is left.
private struct MappingReader {
    private let file: String
    private let what: String
    private var rest: [(key: Node, value: Node)]
    private var known: [String] = []

    init(_ node: Node, file: String, what: String) throws {
        self.file = file
        self.what = what
        guard let mapping = node.mapping else {
            throw PolicyBook.Failure(description: "\(file):\(node.mark?.line ?? 1): \(what) must be a mapping of keys to values")
        }
        rest = mapping.map { ($0.key, $0.value) }
    }

    func failure(_ message: String, at node: Node) -> PolicyBook.Failure {
        PolicyBook.Failure(description: "\(file):\(node.mark?.line ?? 1): \(message)")
    }

    mutating func take(_ key: String) throws -> Node? {
        known.append(key)
        let found = rest.filter { $0.key.string == key }
        if let second = found.dropFirst().first { throw failure("key \(key) is given twice", at: second.key) }
        rest.removeAll { $0.key.string == key }
        return found.first?.value
    }

    mutating func strings(_ key: String) throws -> [String]? {
        guard let node = try take(key) else { return nil }
        guard let sequence = node.sequence, !sequence.isEmpty else {
            throw failure("\(key) must be a list with at least one entry; leave it out to match everything", at: node)
        }
        return try sequence.map { element in
            guard let text = element.string, !text.isEmpty else { throw failure("\(key) must hold texts", at: element) }
            return text
        }
    }

    func finish() throws {
        guard let left = rest.first else { return }
        throw failure(
            "\(what) has the unknown key \(left.key.string ?? "?"); known keys are \(known.joined(separator: ", "))", at: left.key)
    }
}
