public import JSON

/// One policy file, in the form that the API takes it (JSON); the YAML of the folder is read into the same form first. Strict: what it
/// does not know is an error with its place.
public struct PolicyDocument: Sendable {
    public let rules: [PolicyRule]
    public let egress: EgressRules?
    /// About what the conditions of its rules take in memory, compiled.
    public let conditionBytes: Int

    /// - Parameters:
    ///   - prefix: stands before the ids of the rules, so that those of a tenant are told from the operator's.
    ///   - maxConditionBytes: of all conditions together, compiled.
    public init(
        reading node: JSONNode, at pointer: String = "", prefix: String = "", maxConditionBytes: Int = .max
    ) throws(JSONViolation) {
        var reader = try JSONObjectReader(node, at: pointer)
        guard try reader.optionalNode("version")?.int == 1 else {
            throw JSONViolation(pointer: reader.pointer(to: "version"), message: "must be 1, the version of the format: `version: 1`")
        }
        var rules: [PolicyRule] = []
        var conditionBytes = 0
        if let list = try reader.optionalNode("rules") {
            guard list.kind == .array else { throw JSONViolation(pointer: reader.pointer(to: "rules"), message: "must be a list of rules") }
            guard list.count <= Limits.maxPolicyRules else {
                throw JSONViolation(pointer: reader.pointer(to: "rules"), message: "must have at most \(Limits.maxPolicyRules) rules")
            }
            for (index, node) in list.elements.enumerated() {
                let place = "\(reader.pointer(to: "rules"))/\(index)"
                let rule = try Self.rule(node, at: place, prefix: prefix)
                conditionBytes += rule.when?.compiledBytes ?? 0
                guard conditionBytes <= maxConditionBytes else {
                    throw JSONViolation(
                        pointer: place + "/when",
                        message: "makes the conditions larger than \(maxConditionBytes) bytes, compiled; use fewer or simpler patterns")
                }
                rules.append(rule)
            }
        }
        egress = try reader.optionalNode("egress").map { node throws(JSONViolation) in
            try Self.egress(node, at: reader.pointer(to: "egress"))
        }
        try reader.finish()
        var seen: Set<String> = []
        for (index, rule) in rules.enumerated() where !seen.insert(rule.id).inserted {
            throw JSONViolation(pointer: "\(pointer)/rules/\(index)/id", message: "is used twice; every rule has an id of its own")
        }
        self.rules = rules
        self.conditionBytes = conditionBytes
    }

    private static func rule(_ node: JSONNode, at pointer: String, prefix: String) throws(JSONViolation) -> PolicyRule {
        var reader = try JSONObjectReader(node, at: pointer)
        let id = try reader.string("id", maxBytes: 128)
        guard Names.isValid(id) else { throw JSONViolation(pointer: reader.pointer(to: "id"), message: Names.rule) }
        let effectText = try reader.string("effect")
        guard let effect = PolicyEffect(rawValue: effectText) else {
            throw JSONViolation(
                pointer: reader.pointer(to: "effect"), message: "is \(brief(effectText)); it must be allow, deny or require_approval")
        }
        let tenants = try reader.globs("tenants")
        let agents = try reader.globs("agents")
        let targets = try reader.targets()
        let tools = try reader.globs("tools")
        let devices = try reader.optionalNode("devices").map { node throws(JSONViolation) in
            try self.devices(node, at: reader.pointer(to: "devices"))
        }
        if devices != nil, let targets, !targets.contains(.device) {
            throw JSONViolation(pointer: reader.pointer(to: "devices"), message: "never matches: targets does not list device")
        }
        let when = try reader.optionalNode("when").map { node throws(JSONViolation) in
            try PolicyCondition(reading: node, at: reader.pointer(to: "when"))
        }
        let approval = try approvalSeconds(&reader, effect)
        let limits = try limits(&reader, effect)
        try reader.finish()
        return PolicyRule(
            id: prefix + id, tenants: tenants, agents: agents, targets: targets, tools: tools, devices: devices, when: when,
            effect: effect, approvalSeconds: approval, limits: limits)
    }

    private static func brief(_ text: String) -> String { text.utf8.count <= 64 ? text : String(text.prefix(32)) + "…" }

    private static func devices(_ node: JSONNode, at pointer: String) throws(JSONViolation) -> DeviceCondition {
        var reader = try JSONObjectReader(node, at: pointer)
        let labels = try Labels.read(try reader.node("labels"), at: reader.pointer(to: "labels"))
        try reader.finish()
        guard !labels.isEmpty else { throw JSONViolation(pointer: reader.pointer(to: "labels"), message: "must name at least one label") }
        return DeviceCondition(labels: labels.mapValues { Glob($0) })
    }

    private static func approvalSeconds(_ reader: inout JSONObjectReader, _ effect: PolicyEffect) throws(JSONViolation) -> Int? {
        guard var approval = try reader.optionalObject("approval") else { return nil }
        guard effect == .requireApproval else {
            throw JSONViolation(pointer: approval.pointer, message: "stands only in a rule whose effect is require_approval")
        }
        let seconds = try approval.optionalInt("expiresSeconds", in: 1...Limits.maxApprovalSeconds)
        try approval.finish()
        return seconds
    }

    private static func limits(_ reader: inout JSONObjectReader, _ effect: PolicyEffect) throws(JSONViolation) -> PolicyLimits {
        guard var limits = try reader.optionalObject("limits") else { return .none }
        guard effect != .deny else {
            throw JSONViolation(pointer: limits.pointer, message: "has no meaning in a rule that denies; remove it")
        }
        let read = PolicyLimits(
            perRun: try limits.optionalInt("perRun", in: 1...Limits.maxPolicyCount),
            perMinute: try limits.optionalInt("perMinute", in: 1...Limits.maxPolicyPerMinute),
            timeoutSeconds: try limits.optionalInt("timeoutSeconds", in: 1...Limits.maxToolSeconds),
            maxResultBytes: try limits.optionalInt("maxResultBytes", in: Limits.minPolicyResultBytes...Limits.maxToolResultBytes))
        try limits.finish()
        return read
    }

    private static func egress(_ node: JSONNode, at pointer: String) throws(JSONViolation) -> EgressRules {
        var reader = try JSONObjectReader(node, at: pointer)
        let text = try reader.optionalString("default") ?? EgressRules.Default.public.rawValue
        guard let byDefault = EgressRules.Default(rawValue: text) else {
            throw JSONViolation(pointer: reader.pointer(to: "default"), message: "is \(brief(text)); it must be public or deny")
        }
        var allowances: [EgressRules.Allowance] = []
        if let list = try reader.optionalNode("allow") {
            let place = reader.pointer(to: "allow")
            guard list.kind == .array, list.count <= Limits.maxPolicyListEntries else {
                throw JSONViolation(pointer: place, message: "must be a list of at most \(Limits.maxPolicyListEntries) entries")
            }
            for (index, node) in list.elements.enumerated() { allowances.append(try allowance(node, at: "\(place)/\(index)")) }
        }
        try reader.finish()
        return EgressRules(byDefault: byDefault, allowances: allowances)
    }

    private static func allowance(_ node: JSONNode, at pointer: String) throws(JSONViolation) -> EgressRules.Allowance {
        var reader = try JSONObjectReader(node, at: pointer)
        let tenants = try reader.globs("tenants")
        let texts = try reader.strings("hosts", maxCount: Limits.maxPolicyListEntries, maxBytes: 512)
        var hosts: [HostPattern] = []
        for (index, text) in texts.enumerated() {
            do throws(HostPatternError) { hosts.append(try HostPattern(text)) } catch {
                throw JSONViolation(pointer: "\(reader.pointer(to: "hosts"))/\(index)", message: error.message)
            }
        }
        try reader.finish()
        guard !hosts.isEmpty else { throw JSONViolation(pointer: reader.pointer(to: "hosts"), message: "must name at least one host") }
        return EgressRules.Allowance(tenants: tenants, hosts: hosts)
    }
}

extension JSONObjectReader {
    fileprivate mutating func list(_ key: String) throws(JSONViolation) -> [String]? {
        guard let texts = try optionalStrings(key, maxCount: Limits.maxPolicyListEntries, maxBytes: Limits.maxPolicyPatternBytes) else {
            return nil
        }
        guard !texts.isEmpty, !texts.contains("") else {
            throw JSONViolation(
                pointer: pointer(to: key), message: "must have at least one entry, none empty; leave it out to match everything")
        }
        return texts
    }

    fileprivate mutating func globs(_ key: String) throws(JSONViolation) -> [Glob]? { try list(key).map { $0.map { Glob($0) } } }

    fileprivate mutating func targets() throws(JSONViolation) -> Set<ToolTarget>? {
        guard let texts = try list("targets") else { return nil }
        var targets: Set<ToolTarget> = []
        for (index, text) in texts.enumerated() {
            guard let target = ToolTarget(rawValue: text) else {
                throw JSONViolation(
                    pointer: "\(pointer(to: "targets"))/\(index)", message: "must be server, device, browser or external")
            }
            targets.insert(target)
        }
        return targets
    }
}
