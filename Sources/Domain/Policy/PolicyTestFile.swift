public import JSON

/// Tests that stand beside the policies, in the form of `*.test.yaml`: given an agent, a tool, a target, arguments and a device, what is
/// decided, by which rule.
public struct PolicyTestFile: Sendable {
    public struct Case: Sendable {
        public let name: String
        public let question: PolicyQuestion
        /// Where in the file, RFC 6901.
        public let pointer: String
        fileprivate let effect: PolicyEffect
        fileprivate let reason: String?
        fileprivate let rules: [String]?
        fileprivate let limits: PolicyLimits?
        fileprivate let approvalSeconds: Int?
    }

    public let cases: [Case]

    public init(reading node: JSONNode, at pointer: String = "") throws(JSONViolation) {
        var reader = try JSONObjectReader(node, at: pointer)
        guard try reader.optionalNode("version")?.int == 1 else {
            throw JSONViolation(pointer: reader.pointer(to: "version"), message: "must be 1, the version of the format: `version: 1`")
        }
        let list = try reader.node("tests")
        let place = reader.pointer(to: "tests")
        guard list.kind == .array, (1...Limits.maxPolicyRules).contains(list.count) else {
            throw JSONViolation(pointer: place, message: "must be a list of at least one test")
        }
        var cases: [Case] = []
        for (index, node) in list.elements.enumerated() { cases.append(try Self.test(node, at: "\(place)/\(index)")) }
        try reader.finish()
        self.cases = cases
    }

    private static func test(_ node: JSONNode, at pointer: String) throws(JSONViolation) -> Case {
        var reader = try JSONObjectReader(node, at: pointer)
        let name = try reader.string("name", maxBytes: 512)
        let question = try PolicyQuestion(reading: try reader.node("given"), at: reader.pointer(to: "given"))
        var expect = try reader.object("expect")
        let effectText = try expect.string("decision")
        guard let effect = PolicyEffect(rawValue: effectText) else {
            throw JSONViolation(pointer: expect.pointer(to: "decision"), message: "must be allow, deny or require_approval")
        }
        let rule = try expect.optionalString("rule", maxBytes: 256)
        let rules = try expect.optionalStrings("rules", maxBytes: 256)
        guard rule == nil || rules == nil else {
            throw JSONViolation(pointer: expect.pointer(to: "rules"), message: "must be absent where rule is given")
        }
        let reason = try expect.optionalString("reason", maxBytes: 64)
        var limits: PolicyLimits?
        if var bounds = try expect.optionalObject("limits") {
            limits = PolicyLimits(
                perRun: try bounds.optionalInt("perRun", in: 1...Int.max), perMinute: try bounds.optionalInt("perMinute", in: 1...Int.max),
                timeoutSeconds: try bounds.optionalInt("timeoutSeconds", in: 1...Int.max),
                maxResultBytes: try bounds.optionalInt("maxResultBytes", in: 1...Int.max))
            try bounds.finish()
        }
        let approvalSeconds = try expect.optionalInt("approvalSeconds", in: 1...Int.max)
        try expect.finish()
        try reader.finish()
        return Case(
            name: name, question: question, pointer: pointer, effect: effect, reason: reason, rules: rule.map { [$0] } ?? rules,
            limits: limits, approvalSeconds: approvalSeconds)
    }
}

extension PolicyTestFile.Case {
    /// What is not as the test expects; nil: it passes.
    public func failure(under policies: EffectivePolicies) -> String? {
        let decision = policies.decide(question)
        let by = decision.rules.isEmpty ? decision.reason.rawValue : decision.rules.joined(separator: ", ")
        guard decision.effect == effect else {
            return "expected \(effect.rawValue), decided \(decision.effect.rawValue) by \(by)"
        }
        if let reason, reason != decision.reason.rawValue { return "expected reason \(reason), decided by \(decision.reason.rawValue)" }
        if let rules, rules.sorted() != decision.rules.sorted() {
            return "expected \(rules.joined(separator: ", ")), decided \(decision.effect.rawValue) by \(by)"
        }
        if let limits, limits != decision.limits { return "expected limits \(limits.json), decided \(decision.limits.json)" }
        if let approvalSeconds, approvalSeconds != decision.approvalSeconds {
            return "expected approvalSeconds \(approvalSeconds), decided \(decision.approvalSeconds.map(String.init) ?? "none")"
        }
        return nil
    }
}

extension PolicyQuestion {
    /// `{tenant?, agent?, target, tool, arguments?, device?: {labels}}`; a tenant or an agent that is left out is called `any`.
    public init(reading node: JSONNode, at pointer: String, tenantSlug: String? = nil) throws(JSONViolation) {
        var reader = try JSONObjectReader(node, at: pointer)
        var slug = tenantSlug ?? "any"
        if tenantSlug == nil, let named = try reader.optionalString("tenant", maxBytes: 128) { slug = named }
        let agent = try reader.optionalString("agent", maxBytes: Limits.maxNameBytes) ?? "any"
        guard let target = ToolTarget(rawValue: try reader.string("target", maxBytes: 32)) else {
            throw JSONViolation(pointer: reader.pointer(to: "target"), message: "must be server, device, browser or external")
        }
        let tool = try reader.string("tool", maxBytes: 256)
        let arguments = try reader.optionalNode("arguments")
        if let arguments, arguments.kind != .object {
            throw JSONViolation(pointer: reader.pointer(to: "arguments"), message: "must be an object")
        }
        var chosen: Device = .open(labels: [:])
        if var device = try reader.optionalObject("device") {
            guard target == .device else { throw JSONViolation(pointer: device.pointer, message: "stands only with target device") }
            chosen = .chosen(labels: try Labels.read(try device.node("labels"), at: device.pointer(to: "labels")))
            try device.finish()
        }
        try reader.finish()
        self.init(tenantSlug: slug, agentName: agent, target: target, tool: tool, arguments: arguments, device: chosen)
    }
}

extension PolicyLimits {
    public var json: RawJSON {
        RawJSON.object { writer in
            writer.field("perRun", intIfPresent: perRun)
            writer.field("perMinute", intIfPresent: perMinute)
            writer.field("timeoutSeconds", intIfPresent: timeoutSeconds)
            writer.field("maxResultBytes", intIfPresent: maxResultBytes)
        }
    }
}
