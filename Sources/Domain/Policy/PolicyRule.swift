public import JSON
import JSONSchema

/// One rule of the operator's folder or of a tenant's layer. An absent list matches everything, an empty one nothing.
public struct PolicyRule: Sendable, Hashable {
    /// As decisions and the audit log name it: `id` in the folder, `tenant/<policy>/<id>` in a tenant's layer.
    public let id: String
    public let tenants: [Glob]?
    public let agents: [Glob]?
    public let targets: Set<ToolTarget>?
    public let tools: [Glob]?
    /// A rule with it matches calls of target `device` alone.
    public let devices: DeviceCondition?
    public let when: PolicyCondition?
    public let effect: PolicyEffect
    /// How long an approval is waited for; nil: `Limits.defaultApprovalSeconds`.
    public let approvalSeconds: Int?
    public let limits: PolicyLimits

    public init(
        id: String, tenants: [Glob]? = nil, agents: [Glob]? = nil, targets: Set<ToolTarget>? = nil, tools: [Glob]? = nil,
        devices: DeviceCondition? = nil, when: PolicyCondition? = nil, effect: PolicyEffect, approvalSeconds: Int? = nil,
        limits: PolicyLimits = .none
    ) {
        self.id = id
        self.tenants = tenants
        self.agents = agents
        self.targets = targets
        self.tools = tools
        self.devices = devices
        self.when = when
        self.effect = effect
        self.approvalSeconds = approvalSeconds
        self.limits = limits
    }

    enum Match: Sendable {
        case no(Part)
        /// It hangs on what is not known yet.
        case possible(Part)
        case yes
        /// `when` reached a bound.
        case undecided
    }

    enum Part: String, Sendable { case targets, tools, tenants, agents, devices, when }

    func match(_ question: PolicyQuestion, _ inquiry: inout PolicyInquiry) -> Match {
        if let targets, !targets.contains(question.target) { return .no(.targets) }
        if let tools, !tools.contains(where: { $0.matches(question.tool) }) { return .no(.tools) }
        if let tenants, !tenants.contains(where: { $0.matches(question.tenantSlug) }) { return .no(.tenants) }
        if let agents, !agents.contains(where: { $0.matches(question.agentName) }) { return .no(.agents) }
        return matchBeyondNames(question, &inquiry)
    }

    /// The same of a rule whose targets and names fit.
    func matchBeyondNames(_ question: PolicyQuestion, _ inquiry: inout PolicyInquiry) -> Match {
        var open: Part?
        if let devices {
            guard question.target == .device else { return .no(.devices) }
            switch devices.holds(for: question.device) {
            case false?: return .no(.devices)
            case nil: open = .devices
            case true?: break
            }
        }
        if let when {
            switch question.arguments.map({ inquiry.verdict(of: when, in: id, on: $0) }) {
            case .rejects?: return .no(.when)
            case .undecided?: return .undecided
            case nil: open = open ?? .when
            case .accepts?: break
            }
        }
        return open.map { .possible($0) } ?? .yes
    }
}

extension PolicyRule {
    /// Whether it can match a call of this tenant.
    public func concerns(tenantSlug: String) -> Bool { tenants?.contains { $0.matches(tenantSlug) } ?? true }

    /// In the form of the format; whom it is for is left out: slugs of others are nobody's business.
    public func writeForTenant(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("id", string: id)
        writer.list("agents", agents?.map(\.pattern))
        writer.list("targets", targets?.map(\.rawValue).sorted())
        writer.list("tools", tools?.map(\.pattern))
        if let devices {
            writer.key("devices")
            writer.beginObject()
            writer.field("labels", raw: Labels.json(devices.labels.mapValues(\.pattern)))
            writer.endObject()
        }
        writer.field("when", rawIfPresent: when?.json)
        writer.field("effect", string: effect.rawValue)
        if effect == .requireApproval {
            writer.field("approval", raw: .object { $0.field("expiresSeconds", int: approvalSeconds ?? Limits.defaultApprovalSeconds) })
        }
        if limits != .none { writer.field("limits", raw: limits.json) }
        writer.endObject()
    }
}

extension JSONWriter {
    fileprivate mutating func list(_ key: String, _ texts: [String]?) {
        guard let texts else { return }
        self.key(key)
        beginArray()
        for text in texts { string(text) }
        endArray()
    }
}
