public import Domain

public struct Page<Item: Sendable>: Sendable {
    public let items: [Item]
    /// Where the next page begins; nil on the last.
    public let next: String?

    public init(items: [Item], next: String?) {
        self.items = items
        self.next = next
    }

    /// Of `limit + 1` rows that were asked for, the last one only says that there is more.
    package init(rows: [Item], limit: Int, cursor: (Item) -> String) {
        items = Array(rows.prefix(limit))
        next = rows.count > limit ? items.last.map(cursor) : nil
    }
}

/// `limit` and `cursor` of a list; the cursor is the last id of the page before.
public struct PageRequest: Sendable {
    public let limit: Int
    public let cursor: String?

    public init(limit: Int = Limits.defaultPageSize, cursor: String? = nil) {
        self.limit = min(max(1, limit), Limits.maxPageSize)
        self.cursor = cursor
    }

    public func after<Entity>(_ type: EntityID<Entity>.Type) throws(GatewayError) -> EntityID<Entity>? {
        guard let cursor else { return nil }
        guard let id = EntityID<Entity>(cursor) else {
            throw .invalidQuery("cursor", "is not a cursor of this list; leave it out to begin with the first page")
        }
        return id
    }
}
