import Cryptography
public import JSON

/// What the gate decided about one call, for the audit log: written with the event that the decision belongs to.
public struct GateDecision: Sendable, Hashable {
    public let callID: CallID
    public let tool: String
    public let target: ToolTarget
    /// What came out, limits and people included.
    public private(set) var effect: PolicyEffect
    /// `rule`, or why it was denied: the code that the model is told.
    public private(set) var reason: String
    public private(set) var rules: [String]
    public let policyHash: String
    /// `sha256:…` over the bytes of the arguments; the arguments themselves are in the run's log alone.
    public let argumentsHash: String

    public init(
        callID: CallID, tool: String, target: ToolTarget, effect: PolicyEffect, reason: String, rules: [String], policyHash: String,
        arguments: RawJSON
    ) {
        self.callID = callID
        self.tool = tool
        self.target = target
        self.effect = effect
        self.reason = reason
        self.rules = rules
        self.policyHash = policyHash
        argumentsHash = "sha256:" + Hex.encode(SHA256.hash(arguments.bytes))
    }

    /// The same call, refused all the same, for another reason.
    public func denied(_ reason: String, by rules: [String]) -> GateDecision {
        var decision = self
        (decision.effect, decision.reason, decision.rules) = (.deny, reason, rules)
        return decision
    }

    /// What the row says of it; the run and its agent are added by the statement that writes it.
    public var details: RawJSON {
        RawJSON.object { writer in
            writer.field("tool", string: tool)
            writer.field("target", string: target.rawValue)
            writer.field("decision", string: effect.rawValue)
            writer.field("reason", string: reason)
            writer.key("rules")
            writer.beginArray()
            for rule in rules.prefix(Limits.maxAuditedRules) { writer.string(rule) }
            writer.endArray()
            writer.field("policyHash", string: policyHash)
            writer.field("argumentsHash", string: argumentsHash)
        }
    }
}
