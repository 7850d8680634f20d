import Domain
import Hummingbird
import JSON
import Runtime
import Storage

/// `GET /api/usage`: model tokens by day and model, newest day first, and what is left of the tenant's limits at this moment.
struct GetUsage: Operation {
    let gateway: Gateway

    private static let defaultDays = 30

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        var query = try QueryReader(request)
        let to = try query.day("to") ?? .today
        let from = try query.day("from") ?? UsageDay(daysSinceUnixEpoch: to.daysSinceUnixEpoch - Self.defaultDays + 1)
        let page = try query.page()
        try query.finish()
        guard from <= to, to.daysSinceUnixEpoch - from.daysSinceUnixEpoch < Limits.maxUsageDays else {
            throw GatewayError.invalidQuery("from", "must be at most \(Limits.maxUsageDays) days before to, and not after it")
        }
        let usage = try await gateway.usage.page(context.scope, from: from, to: to, page)
        let standings = try await gateway.usage.standings(context.scope)
        return Answer.object(capacity: 1024 + usage.items.count * 128) { writer in
            writer.key("data")
            writer.beginArray()
            for item in usage.items { item.write(to: &writer) }
            writer.endArray()
            writer.field("nextCursor", stringOrNull: usage.next)
            writer.key("limits")
            writer.beginArray()
            for standing in standings { standing.write(to: &writer) }
            writer.endArray()
        }
    }
}

extension QueryReader {
    /// A date, `2026-01-31`, UTC.
    mutating func day(_ name: String) throws(GatewayError) -> UsageDay? {
        guard let text = string(name) else { return nil }
        guard let day = UsageDay(text) else { throw .invalidQuery(name, "must be a date, such as 2026-01-31") }
        return day
    }
}

extension UsageRecord {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("day", string: day.description)
        writer.field("model", string: model)
        writer.field("inputTokens", int: usage.inputTokens)
        writer.field("outputTokens", int: usage.outputTokens)
        writer.field("modelCalls", int: modelCalls)
        writer.endObject()
    }
}

extension LimitStanding {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.field("name", string: name.rawValue)
        writer.field("limit", intOrNull: limit)
        if let windowSeconds { writer.field("windowSeconds", int: windowSeconds) }
        writer.field("remaining", intOrNull: remaining)
        if let used { writer.field("used", int: used) }
        if let reserved { writer.field("reserved", int: reserved) }
        writer.field("resetsAt", timeIfPresent: resetsAt)
        writer.endObject()
    }
}

extension JSONWriter {
    fileprivate mutating func field(_ key: String, intOrNull value: Int?) {
        self.key(key)
        if let value { int(value) } else { null() }
    }
}
