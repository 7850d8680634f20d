/// What the rules of a set say about targets and names, in flat arrays: to try a rule copies nothing and counts no references, and costs a few
/// nanoseconds however its patterns are made. Rules that say the same of a part share its list, which is tried once a question.
struct CompiledNames: Sendable {
    /// A part's patterns, by their places.
    private struct List {
        let part: Int
        let start: Int32
        let end: Int32
    }

    private struct Rule {
        let targets: UInt8
        /// Places of lists, with `nothing` for what is left out.
        let tools: Int32
        let tenants: Int32
        let agents: Int32
    }

    private static let nothing: Int32 = -1

    private struct Pattern {
        let start: Int32
        let count: Int32
        /// What tells most names apart at once.
        let pair: BytePair
        /// Bytes of the shortest name that matches.
        let least: Int32
    }

    private enum Verdict: UInt8 { case untried, matches, differs }

    private var rules: [Rule] = []
    private var lists: [List] = []
    private var patterns: [Pattern] = []
    private var bytes: [UInt8] = []

    init(_ rules: [PolicyRule]) {
        var uses: [BytePair: Int] = [:]
        for rule in rules {
            for glob in (rule.tools ?? []) + (rule.tenants ?? []) + (rule.agents ?? []) {
                for pair in BytePair.all(of: glob.bytes) { uses[pair, default: 0] += 1 }
            }
        }
        var known: [ListKey: Int32] = [:]
        self.rules.reserveCapacity(rules.count)
        for rule in rules {
            let targets = ToolTarget.allCases.reduce(into: UInt8(0)) { mask, target in
                if rule.targets?.contains(target) ?? true { mask |= Self.bit(target) }
            }
            self.rules.append(
                Rule(
                    targets: targets, tools: list(0, rule.tools, uses, &known), tenants: list(1, rule.tenants, uses, &known),
                    agents: list(2, rule.agents, uses, &known)))
        }
    }

    private struct ListKey: Hashable {
        let part: Int
        let globs: [Glob]
    }

    private mutating func list(_ part: Int, _ globs: [Glob]?, _ uses: [BytePair: Int], _ known: inout [ListKey: Int32]) -> Int32 {
        guard let globs else { return Self.nothing }
        let key = ListKey(part: part, globs: globs)
        if let list = known[key] { return list }
        let start = Int32(patterns.count)
        for glob in globs {
            // The pair that fewest patterns share; two bytes before one, and one before none.
            let pair = BytePair.all(of: glob.bytes).min { left, right in
                left.rank != right.rank ? left.rank < right.rank : (uses[left] ?? 0) < (uses[right] ?? 0)
            }
            patterns.append(
                Pattern(
                    start: Int32(bytes.count), count: Int32(glob.bytes.count), pair: pair ?? .none,
                    least: Int32(glob.bytes.reduce(0) { $0 + ($1 == Glob.star ? 0 : 1) })))
            bytes += glob.bytes
        }
        let list = Int32(lists.count)
        lists.append(List(part: part, start: start, end: Int32(patterns.count)))
        known[key] = list
        return list
    }

    private static func bit(_ target: ToolTarget) -> UInt8 {
        switch target {
        case .server: 1
        case .device: 2
        case .browser: 4
        case .external: 8
        }
    }

    /// The candidates whose targets and names fit the question, in order.
    func fits(_ question: PolicyQuestion, among candidates: PolicyIndex.Candidates) -> [Int] {
        var (tool, tenant, agent) = (question.tool, question.tenantSlug, question.agentName)
        let target = Self.bit(question.target)
        return [Int](unsafeUninitializedCapacity: candidates.count) { found, count in
            tool.withUTF8 { tool in
                tenant.withUTF8 { tenant in
                    agent.withUTF8 { agent in
                        switch max(tool.count, tenant.count, agent.count) {
                        case ..<UInt64.bitWidth:
                            PositionTables<UInt64>.with(tool, tenant, agent) { count = collect(target, $0, candidates, found) }
                        case ..<UInt128.bitWidth:
                            PositionTables<UInt128>.with(tool, tenant, agent) { count = collect(target, $0, candidates, found) }
                        default: count = collect(target, LongNames(tool, tenant, agent), candidates, found)
                        }
                    }
                }
            }
        }
    }

    /// Returns how many were found; there is room for all candidates.
    private func collect(
        _ target: UInt8, _ names: some QuestionNames, _ candidates: PolicyIndex.Candidates, _ found: UnsafeMutableBufferPointer<Int>
    ) -> Int {
        var count = 0
        withUnsafeTemporaryAllocation(of: Verdict.self, capacity: lists.count) { verdicts in
            verdicts.initialize(repeating: .untried)
            rules.withUnsafeBufferPointer { rules in
                func isMatched(_ list: Int32) -> Bool {
                    if list == Self.nothing { return true }
                    if verdicts[Int(list)] == .untried { verdicts[Int(list)] = matches(lists[Int(list)], names) ? .matches : .differs }
                    return verdicts[Int(list)] == .matches
                }
                candidates.forEach { position in
                    let rule = rules[position]
                    guard rule.targets & target != 0 else { return }
                    guard isMatched(rule.tools), isMatched(rule.tenants), isMatched(rule.agents) else { return }
                    found.initializeElement(at: count, to: position)
                    count += 1
                }
            }
        }
        return count
    }

    @inline(__always)
    private func matches(_ list: List, _ names: some QuestionNames) -> Bool {
        patterns.withUnsafeBufferPointer { patterns in
            bytes.withUnsafeBufferPointer { bytes in
                for index in Int(list.start)..<Int(list.end) {
                    let pattern = patterns[index]
                    guard names.have(pattern.pair, list.part), names.count(list.part) >= Int(pattern.least) else { continue }
                    let text = UnsafeBufferPointer(rebasing: bytes[Int(pattern.start)..<Int(pattern.start + pattern.count)])
                    if names.match(text, list.part) { return true }
                }
                return false
            }
        }
    }
}
