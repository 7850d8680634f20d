import Domain

/// What an operation leaves in the audit log. Each operation that changes something says so, or why it does not; a test asks all.
enum AuditRule: Sendable {
    /// Nothing is changed: the rule of operations that say nothing.
    case reads
    /// One of these or more, where it changed something.
    case logs(Set<AuditAction>)
    case omitted(because: StaticString)
}
