public import JSON

extension ToolDefinition {
    /// What of a call that is made now is due at a time.
    public func schedule(_ arguments: RawJSON, now: Timestamp) throws(TemplateError) -> CallSchedule? {
        if external != nil { return .delivery(now) }
        guard case .waiting(let waiting) = serverKind else { return nil }
        guard let root = try? arguments.document().root else { throw TemplateError("The arguments are no JSON.") }
        return .timer(try waiting.due(root, from: now))
    }

    /// A timer's call is good until its time, and as long after it as no gateway might run.
    public func timeoutSeconds(with schedule: CallSchedule?) -> Int {
        guard case .timer(let due) = schedule else { return timeoutSeconds }
        let wait = max(0, due.millisecondsSinceUnixEpoch - Timestamp.now().millisecondsSinceUnixEpoch) / 1000
        return Int(wait) + Limits.timerGraceSeconds
    }
}
