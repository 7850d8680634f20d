import JSON

/// Finds the rules that could match without looking at all of them: each rule stands under the keys (literal names, or the beginnings or
/// ends of globs) of that part of it which fewest others share. Rules without such a key could always match; `CompiledNames` tries what is left.
struct PolicyIndex: Sendable {
    private enum Part: Int, CaseIterable, Sendable { case tools, tenants, agents }
    private enum Place: Int, CaseIterable, Sendable { case whole, beginning, end }

    private struct Key: Hashable {
        let part: Part
        let place: Place
        let text: ExactString
    }

    private struct Table: Sendable {
        var rules: [ExactString: [Int]] = [:]
        /// Of its keys, in bytes, each once.
        var lengths: [Int] = []
    }

    /// Rules that could match, a bit each by their position.
    struct Candidates: Sendable {
        fileprivate var words: [UInt64]

        fileprivate init(ofRules count: Int) { words = Array(repeating: 0, count: (count + 63) / 64) }

        fileprivate mutating func insert(_ position: Int) { words[position >> 6] |= 1 << UInt64(position & 63) }

        fileprivate mutating func insert(_ positions: [Int]) {
            words.withUnsafeMutableBufferPointer { words in
                for position in positions { words[position >> 6] |= 1 << UInt64(position & 63) }
            }
        }

        var count: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }

        /// In the order of the rules, each once.
        func forEach(_ body: (Int) -> Void) {
            for (index, word) in words.enumerated() {
                var rest = word
                while rest != 0 {
                    body(index << 6 | rest.trailingZeroBitCount)
                    rest &= rest - 1
                }
            }
        }
    }

    /// By target, part and place.
    private var tables: [Table]
    /// Those that no key narrows, by target.
    private var others: [Candidates]
    /// Longer beginnings and ends are cut to this, so that a look-up tries few lengths.
    private static let maxKeyBytes = 8

    init(_ rules: [PolicyRule]) {
        tables = Array(repeating: Table(), count: ToolTarget.allCases.count * Part.allCases.count * Place.allCases.count)
        others = Array(repeating: Candidates(ofRules: rules.count), count: ToolTarget.allCases.count)
        var uses: [Key: Int] = [:]
        let keys = rules.map { rule in
            [Self.keys(.tools, rule.tools), Self.keys(.tenants, rule.tenants), Self.keys(.agents, rule.agents)].compactMap { $0 }
        }
        for key in keys.joined().joined() { uses[key, default: 0] += 1 }
        for (position, rule) in rules.enumerated() {
            let best = keys[position].min { left, right in Self.cost(left, uses) < Self.cost(right, uses) }
            for (index, target) in ToolTarget.allCases.enumerated() where rule.targets?.contains(target) ?? true {
                if let best {
                    for key in best { insert(key, position, target: index) }
                } else {
                    others[index].insert(position)
                }
            }
        }
    }

    /// nil where this part narrows nothing, or not by a key. A list without entries has no key, and its rule never matches.
    private static func keys(_ part: Part, _ globs: [Glob]?) -> [Key]? {
        guard let globs else { return nil }
        var keys: Set<Key> = []
        for glob in globs {
            if glob.isLiteral {
                keys.insert(Key(part: part, place: .whole, text: ExactString(glob.pattern)))
                continue
            }
            let beginning = beginning(of: glob.literalPrefix)
            let place: Place = beginning.isEmpty ? .end : .beginning
            let text = beginning.isEmpty ? end(of: glob.literalSuffix) : beginning
            guard !text.isEmpty else { return nil }
            keys.insert(Key(part: part, place: place, text: ExactString(String(decoding: text, as: UTF8.self))))
        }
        return Array(keys)
    }

    /// Never half a character, as with the end: what it would be read as is part of no name.
    private static func beginning(of literal: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var beginning = literal.prefix(maxKeyBytes)
        while beginning.endIndex < literal.endIndex, !beginning.isEmpty, isInsideCharacter(literal[beginning.endIndex]) {
            beginning.removeLast()
        }
        return beginning
    }

    private static func end(of literal: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        literal.suffix(maxKeyBytes).drop(while: isInsideCharacter)
    }

    private static func isInsideCharacter(_ byte: UInt8) -> Bool { byte & 0xC0 == 0x80 }

    private static func cost(_ keys: [Key], _ uses: [Key: Int]) -> Int { keys.reduce(0) { max($0, uses[$1] ?? 0) } }

    private static func table(_ target: Int, _ part: Part, _ place: Place) -> Int {
        (target * Part.allCases.count + part.rawValue) * Place.allCases.count + place.rawValue
    }

    private mutating func insert(_ key: Key, _ position: Int, target: Int) {
        let table = Self.table(target, key.part, key.place)
        tables[table].rules[key.text, default: []].append(position)
        let length = key.text.text.utf8.count
        if !tables[table].lengths.contains(length) { tables[table].lengths.append(length) }
    }

    func candidates(_ question: PolicyQuestion) -> Candidates {
        let target =
            switch question.target {
            case .server: 0
            case .device: 1
            case .browser: 2
            case .external: 3
            }
        var found = others[target]
        collect(target, .tools, question.tool, &found)
        collect(target, .tenants, question.tenantSlug, &found)
        collect(target, .agents, question.agentName, &found)
        return found
    }

    private func collect(_ target: Int, _ part: Part, _ text: String, _ found: inout Candidates) {
        let whole = tables[Self.table(target, part, .whole)]
        if !whole.rules.isEmpty, let rules = whole.rules[ExactString(text)] { found.insert(rules) }
        let beginnings = tables[Self.table(target, part, .beginning)]
        for length in beginnings.lengths where length <= text.utf8.count {
            if let rules = beginnings.rules[ExactString(String(decoding: text.utf8.prefix(length), as: UTF8.self))] { found.insert(rules) }
        }
        let ends = tables[Self.table(target, part, .end)]
        for length in ends.lengths where length <= text.utf8.count {
            if let rules = ends.rules[ExactString(String(decoding: text.utf8.suffix(length), as: UTF8.self))] { found.insert(rules) }
        }
    }
}
