/// What of an open call is due at a time.
public enum ScheduleKind: String, Sendable, Hashable, CaseIterable {
    /// Its result comes by itself.
    case timer
    /// The next attempt to post it to an external tool.
    case delivery
}

/// A row that says when something of a call is due, written or dropped in the transaction of the events that it belongs to.
public struct ScheduleChange: Sendable, Hashable {
    public enum Due: Sendable, Hashable {
        case now
        case at(Timestamp)
        /// Not before a person has decided.
        case held
        /// Nothing any more.
        case never
    }

    public let callID: CallID
    public let kind: ScheduleKind
    public let due: Due

    public init(_ callID: CallID, _ kind: ScheduleKind, _ due: Due) {
        self.callID = callID
        self.kind = kind
        self.due = due
    }
}

extension CallState {
    /// What of it may be due; nil for a call that somebody comes for, or that a worker carries out at once.
    var scheduleKind: ScheduleKind? { dueAt != nil ? .timer : isDelivered ? .delivery : nil }

    func schedule(_ due: ScheduleChange.Due) -> [ScheduleChange] {
        scheduleKind.map { [ScheduleChange(call.callID, $0, due)] } ?? []
    }
}
