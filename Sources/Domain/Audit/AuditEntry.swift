public import JSON

/// What a change is called in the audit log. Its author comes from whoever may make changes at all.
public struct AuditEntry: Sendable {
    public let action: AuditAction
    public let targetID: String
    /// What is worth knowing of the change: names, scopes, times. Never a secret, and nothing of unbounded length.
    public let details: RawJSON?

    public init<Entity>(_ action: AuditAction, _ target: EntityID<Entity>, details: RawJSON? = nil) {
        self.action = action
        targetID = target.description
        self.details = details
    }

    /// For things that a name names, or whose details are at hand.
    public init(_ action: AuditAction, named target: String, details: RawJSON? = nil) {
        self.action = action
        targetID = target
        self.details = details
    }

    public init<Entity>(_ action: AuditAction, _ target: EntityID<Entity>, _ build: (inout JSONWriter) -> Void) {
        self.init(action, target, details: .object(build))
    }

    public init(_ action: AuditAction, named target: String, _ build: (inout JSONWriter) -> Void) {
        self.init(action, named: target, details: .object(build))
    }
}
