import Domain

/// What one run asks of the gate, and everything that must come of it, of whatever kind the tool is.
struct GateCase: Sendable {
    /// The gate's word about one call, as its row of the audit log has it.
    struct Decision: Sendable {
        let effect: PolicyEffect
        let reason: String
        let rules: [String]

        static func allow(_ rules: String...) -> Decision { Decision(effect: .allow, reason: "rule", rules: rules) }
        static func ask(_ rules: String...) -> Decision { Decision(effect: .requireApproval, reason: "rule", rules: rules) }
        static func deny(_ reason: String = "denied_by_policy", _ rules: String...) -> Decision {
            Decision(effect: .deny, reason: reason, rules: rules)
        }
    }

    enum Person: Sendable {
        case approves, denies
        /// Looked at another call first.
        case differs
        /// Comes when policy denies the call already.
        case isOutdated
        /// Is followed by a policy that denies the call, before it goes out.
        case isOutrun
    }

    let name: String
    /// The tool that the model asks for, with what, and how often.
    let tool: String
    var arguments = "{}"
    var times = 1
    /// What the events of its calls are, in order.
    let outcomes: [String]
    var person: Person?
    /// What is decided of its calls when they are asked for.
    let atCall: [Decision]
    /// What is decided differently afterwards, under the policy of that time.
    var later: Decision?
    /// What the people who decide leave in the audit log.
    var signed: [AuditAction] = []

    /// Calls that go out, or whose answers are taken.
    var goOut: Int { outcomes.count { $0 == "result" } }

    static let all = [
        GateCase(name: "allow", tool: "ok", arguments: #"{"path":"a"}"#, outcomes: ["result"], atCall: [.allow("ok")]),
        GateCase(name: "deny", tool: "denied", outcomes: ["denied_by_policy"], atCall: [.deny("denied_by_policy", "never")]),
        GateCase(name: "no rule", tool: "unknown", outcomes: ["no_rule_matched"], atCall: [.deny("no_rule_matched")]),
        GateCase(name: "argument allowed", tool: "args", arguments: #"{"path":"open"}"#, outcomes: ["result"], atCall: [.allow("ok")]),
        GateCase(
            name: "argument denied", tool: "args", arguments: #"{"path":"secret"}"#, outcomes: ["denied_by_policy"],
            atCall: [.deny("denied_by_policy", "no-secrets")]),
        GateCase(
            name: "over limit", tool: "many", times: 2, outcomes: ["limit_per_run", "result"],
            atCall: [.allow("ok", "few"), .deny("limit_per_run", "few")]),
        GateCase(
            name: "over the minute's limit", tool: "minute", times: 2, outcomes: ["limit_per_minute", "result"],
            atCall: [.allow("seldom"), .deny("limit_per_minute", "seldom")]),
        GateCase(
            name: "approval given", tool: "ask", arguments: #"{"n":1}"#, outcomes: ["result"], person: .approves,
            atCall: [.ask("person")], signed: [.toolCallApprove]),
        GateCase(
            name: "approval refused", tool: "ask", arguments: #"{"n":1}"#, outcomes: ["approval_denied"], person: .denies,
            atCall: [.ask("person")], signed: [.toolCallDeny]),
        GateCase(name: "approval expired", tool: "late", outcomes: ["approval_expired"], atCall: [.ask("quick")]),
        GateCase(
            name: "other arguments approved", tool: "ask", arguments: #"{"n":1}"#, outcomes: ["result"], person: .differs,
            atCall: [.ask("person")], signed: [.toolCallApprove]),
        GateCase(
            name: "policy denies before approval", tool: "changed", outcomes: ["denied_by_policy"], person: .isOutdated,
            atCall: [.ask("person")], later: .deny("denied_by_policy", "never")),
        GateCase(
            name: "policy denies after approval", tool: "outrun", outcomes: ["denied_by_policy"], person: .isOutrun,
            atCall: [.ask("person")], later: .deny("denied_by_policy", "never"), signed: [.toolCallApprove]),
    ]

    /// Of all cases, each with what policy says of it while its arguments are not known, as a model is shown its tools.
    static let tools: KeyValuePairs<String, PolicyEffect> = [
        "ok": .allow, "denied": .deny, "unknown": .deny, "args": .allow, "many": .allow, "minute": .allow, "ask": .requireApproval,
        "late": .requireApproval, "changed": .requireApproval, "outrun": .requireApproval,
    ]

    /// - Parameter prefix: of the names of tools.
    static func policy(_ prefix: String, denied: [String] = ["denied"]) -> String {
        func list(_ names: [String]) -> String { "[" + names.map { "\"\(prefix)\($0)\"" }.joined(separator: ", ") + "]" }
        return """
            version: 1
            rules:
              - id: ok
                tools: \(list(["ok", "args", "many"]))
                effect: allow
              - id: few
                tools: \(list(["many"]))
                effect: allow
                limits: { perRun: 1 }
              - id: seldom
                tools: \(list(["minute"]))
                effect: allow
                limits: { perMinute: 1 }
              - id: never
                tools: \(list(denied))
                effect: deny
              - id: no-secrets
                tools: \(list(["args"]))
                when: { properties: { path: { pattern: "secret" } }, required: [path] }
                effect: deny
              - id: person
                tools: \(list(["ask", "changed", "outrun"]))
                effect: require_approval
              - id: quick
                tools: \(list(["late"]))
                effect: require_approval
                approval: { expiresSeconds: 1 }
            """
    }
}
