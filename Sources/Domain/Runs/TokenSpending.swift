/// A day of usage, UTC.
public struct UsageDay: Sendable, Hashable, Comparable, CustomStringConvertible {
    public let daysSinceUnixEpoch: Int

    public init(daysSinceUnixEpoch: Int) { self.daysSinceUnixEpoch = daysSinceUnixEpoch }

    public init(of time: Timestamp) {
        let milliseconds = time.millisecondsSinceUnixEpoch
        daysSinceUnixEpoch = Int(milliseconds / 86_400_000) - (milliseconds % 86_400_000 < 0 ? 1 : 0)
    }

    /// `2026-11-22`; nil for anything else.
    public init?(_ text: String) {
        guard text.utf8.count == 10, let time = Timestamp(rfc3339: text + "T00:00:00Z") else { return nil }
        self.init(of: time)
    }

    public static var today: UsageDay { UsageDay(of: .now()) }

    public var start: Timestamp { Timestamp(millisecondsSinceUnixEpoch: Int64(daysSinceUnixEpoch) * 86_400_000) }
    /// The first moment of the next day.
    public var end: Timestamp { start.adding(seconds: 86_400) }
    public var previous: UsageDay { UsageDay(daysSinceUnixEpoch: daysSinceUnixEpoch - 1) }

    public var description: String { String(start.description.prefix(10)) }

    public static func < (left: UsageDay, right: UsageDay) -> Bool { left.daysSinceUnixEpoch < right.daysSinceUnixEpoch }
}

/// What one model call cost, for the tenant's books.
public struct TokenSpending: Sendable, Hashable {
    /// The day on which the call began: the one from which its tokens were reserved.
    public let day: UsageDay
    /// `provider/name`
    public let model: String
    public let usage: TokenUsage

    public init(day: UsageDay, model: String, usage: TokenUsage) {
        self.day = day
        self.model = model
        self.usage = usage
    }
}
