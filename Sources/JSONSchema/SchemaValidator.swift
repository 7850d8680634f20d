import JSON

/// One validation. What fails is noted with its place, unless it is only tried (`anyOf`, `not`, `if` …).
struct SchemaValidator {
    /// Which members and elements of one value were evaluated, for `unevaluated…`.
    struct Marks {
        var members: [Bool] = []
        var elements: [Bool] = []

        mutating func member(_ index: Int, of count: Int) {
            if members.isEmpty { members = [Bool](repeating: false, count: count) }
            members[index] = true
        }

        mutating func element(_ index: Int, of count: Int) {
            if elements.isEmpty { elements = [Bool](repeating: false, count: count) }
            elements[index] = true
        }

        mutating func merge(_ other: Marks) {
            if members.isEmpty {
                members = other.members
            } else {
                for (index, mark) in other.members.enumerated() where mark { members[index] = true }
            }
            if elements.isEmpty {
                elements = other.elements
            } else {
                for (index, mark) in other.elements.enumerated() where mark { elements[index] = true }
            }
        }
    }

    private enum Step {
        case key(String)
        case index(Int)
    }

    let schema: JSONSchema
    let limits: JSONSchemaLimits
    let keepsMarks: Bool
    private var path: [Step] = []
    private var scope: [Int] = []
    private var violations: [JSONViolation] = []
    /// Above 0: what fails is only tried.
    var trials = 0
    private var steps = 0
    private var depth = 0
    private(set) var budget: JSONSchemaBudget
    var isUndecided = false

    init(_ schema: JSONSchema, limits: JSONSchemaLimits, _ budget: JSONSchemaBudget) {
        self.schema = schema
        self.limits = limits
        self.budget = budget
        keepsMarks = schema.nodes.contains { node in
            node.keywords.contains { keyword in
                switch keyword {
                case .unevaluatedItems, .unevaluatedProperties: true
                default: false
                }
            }
        }
    }

    mutating func validate(_ instance: JSONNode) -> [JSONViolation] {
        var marks = Marks()
        let isValid = apply(0, instance, &marks)
        // Nobody knows what the rest would have said, so it counts as wrong.
        if isUndecided { return [JSONViolation(pointer: "", message: "takes too long to check against its schema; make it simpler")] }
        if !isValid, violations.isEmpty { return [JSONViolation(pointer: "", message: "does not fit its schema")] }
        return isValid ? [] : violations
    }

    // MARK: One subschema on one value

    mutating func apply(_ index: Int, _ value: JSONNode, _ marks: inout Marks) -> Bool {
        depth += 1
        defer { depth -= 1 }
        guard charge(1), depth <= limits.maxDepth else {
            isUndecided = true
            return false
        }
        let node = schema.nodes[index]
        let entersResource = scope.last != node.resource
        if entersResource { scope.append(node.resource) }
        defer { if entersResource { scope.removeLast() } }
        var isValid = true
        for keyword in node.keywords where !check(keyword, value, &marks) {
            isValid = false
            if trials > 0 || isUndecided { return false }
        }
        return isValid
    }

    /// The same value under another subschema: what it evaluated counts when it holds.
    mutating func applyInPlace(_ index: Int, _ value: JSONNode, _ marks: inout Marks) -> Bool {
        var own = Marks()
        guard apply(index, value, &own) else { return false }
        if keepsMarks { marks.merge(own) }
        return true
    }

    /// Whether a subschema would hold; nothing is noted when it does not.
    mutating func tries(_ index: Int, _ value: JSONNode, _ marks: inout Marks) -> Bool {
        trials += 1
        defer { trials -= 1 }
        return applyInPlace(index, value, &marks)
    }

    /// A part of the value.
    mutating func descend(_ index: Int, _ value: JSONNode, key: String) -> Bool { descend(index, value, .key(key)) }
    mutating func descend(_ index: Int, _ value: JSONNode, element: Int) -> Bool { descend(index, value, .index(element)) }

    private mutating func descend(_ index: Int, _ value: JSONNode, _ step: Step) -> Bool {
        path.append(step)
        defer { path.removeLast() }
        var marks = Marks()
        return apply(index, value, &marks)
    }

    mutating func fail(_ message: @autoclosure () -> String, at key: String? = nil) -> Bool {
        if trials == 0, violations.count < limits.maxViolations {
            var pointer = ""
            for step in path {
                switch step {
                case .key(let key): pointer += "/" + SchemaCompiler.escaped(key)
                case .index(let index): pointer += "/\(index)"
                }
            }
            if let key { pointer += "/" + SchemaCompiler.escaped(key) }
            violations.append(JSONViolation(pointer: pointer, message: message()))
        }
        return false
    }

    /// Work that is more than a step. false when there is no budget for it.
    mutating func charge(_ amount: Int) -> Bool {
        let amount = min(amount, limits.maxSteps)
        steps += amount
        if steps > limits.maxSteps || !budget.spend(steps: amount) { isUndecided = true }
        return !isUndecided
    }

    /// A look at a whole value, by its bytes.
    mutating func charge(_ value: JSONNode) -> Bool { charge(value.raw.count / 64 + 1) }

    mutating func matches(_ pattern: Pattern, _ text: String) -> Bool {
        guard charge(text.utf8.count / 16 + 1) else { return false }
        var left = budget.patternSteps
        let answer = pattern.search(text, within: &left)
        budget.spend(patternSteps: budget.patternSteps - left)
        switch answer {
        case .matches: return true
        case .differs: return false
        case .undecided:
            isUndecided = true
            return false
        }
    }

    /// The outermost resource on the way here that has this dynamic anchor (core, §8.2.3.2).
    func dynamicTarget(_ target: Int, _ name: String?) -> Int {
        guard let name else { return target }
        for resource in scope { if let found = schema.dynamicAnchors[resource][name] { return found } }
        return target
    }

    func markedMembers(_ marks: Marks, _ count: Int) -> [Bool] {
        marks.members.isEmpty ? [Bool](repeating: false, count: count) : marks.members
    }
    func markedElements(_ marks: Marks, _ count: Int) -> [Bool] {
        marks.elements.isEmpty ? [Bool](repeating: false, count: count) : marks.elements
    }
}
