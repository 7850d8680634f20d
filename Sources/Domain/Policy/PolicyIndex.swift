/// Finds the rules that could match without looking at all of them: each rule stands under the keys (literal names, or the beginnings of
/// globs) of that part of it which fewest others share.
struct PolicyIndex: Sendable {
    private enum Part: Int, CaseIterable, Sendable { case tools, tenants, agents }

    private struct Key: Hashable {
        let part: Part
        let text: String
        let isPrefix: Bool
    }

    private struct Table: Sendable {
        var literals: [String: [Int]] = [:]
        var prefixes: [String: [Int]] = [:]
        /// In bytes, each once.
        var prefixLengths: [Int] = []
    }

    /// By target and part.
    private var tables: [Table]
    /// By target: rules that no key narrows.
    private var others: [[Int]]
    /// Longer beginnings are cut to this, so that a look-up tries few lengths.
    private static let maxPrefixBytes = 8

    init(_ rules: [PolicyRule]) {
        tables = Array(repeating: Table(), count: ToolTarget.allCases.count * Part.allCases.count)
        others = Array(repeating: [], count: ToolTarget.allCases.count)
        var uses: [Key: Int] = [:]
        let keys = rules.map { rule in Part.allCases.compactMap { Self.keys($0, rule) } }
        for key in keys.joined().joined() { uses[key, default: 0] += 1 }
        for (position, rule) in rules.enumerated() {
            let best = keys[position].min { left, right in Self.cost(left, uses) < Self.cost(right, uses) }
            for (index, target) in ToolTarget.allCases.enumerated() where rule.targets?.contains(target) ?? true {
                guard let best else {
                    others[index].append(position)
                    continue
                }
                for key in best { insert(key, position, target: index) }
            }
        }
    }

    /// nil where this part narrows nothing, or not by a key. A list without entries has no key, and its rule never matches.
    private static func keys(_ part: Part, _ rule: PolicyRule) -> [Key]? {
        let globs =
            switch part {
            case .tools: rule.tools
            case .tenants: rule.tenants
            case .agents: rule.agents
            }
        guard let globs else { return nil }
        var keys: Set<Key> = []
        for glob in globs {
            if glob.isLiteral {
                keys.insert(Key(part: part, text: glob.pattern, isPrefix: false))
            } else {
                let literal = glob.literalPrefix
                // Never half a character: what it would be read as is no prefix of any name.
                var prefix = literal.prefix(maxPrefixBytes)
                while prefix.endIndex < literal.endIndex, !prefix.isEmpty, literal[prefix.endIndex] & 0xC0 == 0x80 { prefix.removeLast() }
                guard !prefix.isEmpty else { return nil }
                keys.insert(Key(part: part, text: String(decoding: prefix, as: UTF8.self), isPrefix: true))
            }
        }
        return Array(keys)
    }

    private static func cost(_ keys: [Key], _ uses: [Key: Int]) -> Int { keys.reduce(0) { max($0, uses[$1] ?? 0) } }

    private mutating func insert(_ key: Key, _ position: Int, target: Int) {
        let table = target * Part.allCases.count + key.part.rawValue
        if key.isPrefix {
            tables[table].prefixes[key.text, default: []].append(position)
            let length = key.text.utf8.count
            if !tables[table].prefixLengths.contains(length) { tables[table].prefixLengths.append(length) }
        } else {
            tables[table].literals[key.text, default: []].append(position)
        }
    }

    /// In the order of the rules, each once.
    func candidates(_ question: PolicyQuestion) -> [Int] {
        let target =
            switch question.target {
            case .server: 0
            case .device: 1
            case .browser: 2
            case .external: 3
            }
        var found = others[target]
        let first = target * Part.allCases.count
        collect(tables[first], question.tool, &found)
        collect(tables[first + 1], question.tenantSlug, &found)
        collect(tables[first + 2], question.agentName, &found)
        guard found.count > 1 else { return found }
        found.sort()
        var last = -1
        found.removeAll { position in
            defer { last = position }
            return position == last
        }
        return found
    }

    private func collect(_ table: Table, _ text: String, _ found: inout [Int]) {
        if !table.literals.isEmpty, let rules = table.literals[text] { found += rules }
        for length in table.prefixLengths where length <= text.utf8.count {
            if let rules = table.prefixes[String(decoding: text.utf8.prefix(length), as: UTF8.self)] { found += rules }
        }
    }
}
