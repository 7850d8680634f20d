/// What the audit log names: changes of configuration and of access. The part before the dot is the kind of thing that was changed.
public enum AuditAction: String, Sendable, CaseIterable, Hashable {
    case keyCreate = "key.create"
    case keyRotate = "key.rotate"
    case keyRevoke = "key.revoke"
    case agentCreate = "agent.create"
    case agentUpdate = "agent.update"
    case agentDelete = "agent.delete"
    case agentVersionPublish = "agent_version.publish"
    /// Its config was refused by policy; nothing was published.
    case agentVersionRefuse = "agent_version.refuse"
    case runCancel = "run.cancel"
    /// By a call of another run, with the event that tells of it.
    case runStart = "run.start"
    case runTokenCreate = "run_token.create"
    case runTokenRevoke = "run_token.revoke"
    /// The gate's word on one call, written with the event that the call's request is.
    case toolCallDecide = "tool_call.decide"
    case toolCallApprove = "tool_call.approve"
    case toolCallDeny = "tool_call.deny"
    case policyPut = "policy.put"
    case policyDelete = "policy.delete"
    case enrollmentTokenCreate = "enrollment_token.create"
    case deviceEnroll = "device.enroll"
    case deviceRegister = "device.register"
    case deviceUpdate = "device.update"
    case deviceApprove = "device.approve"
    case deviceRevoke = "device.revoke"
    case tenantCreate = "tenant.create"
    case tenantUpdate = "tenant.update"
    case tenantSuspend = "tenant.suspend"
    case tenantResume = "tenant.resume"
    case secretSet = "secret.set"
    case secretDelete = "secret.delete"
    case secretReseal = "secret.reseal"
    case webhookSecretRotate = "webhook_secret.rotate"
    /// Old rows of the log itself were deleted.
    case auditPrune = "audit.prune"

    /// Left by commands on the gateway's own machine, and by no operation of the API.
    public static let onMachineOnly: Set<AuditAction> = [.secretReseal, .auditPrune]

    /// Left by runs as they go on, and by no operation of the API.
    public static let ofRunsOnly: Set<AuditAction> = [.runStart]

    public var targetKind: String { String(rawValue.prefix { $0 != "." }) }
}
