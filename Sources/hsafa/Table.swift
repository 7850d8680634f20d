import HsafaClient
import JSON

/// A list of the gateway, page after page: a table for people, or one JSON object a line.
enum Table {
    /// - Parameters:
    ///   - limit: at most so many rows, over all pages.
    ///   - page: asks for a page of `size` behind `cursor`.
    ///   - row: what people see of an item, and the item as the gateway sent it.
    static func show<Item>(
        _ header: [String], limit: Int, isJSON: Bool, page: (_ size: Int, _ cursor: String?) async throws -> Page<Item>,
        row: (Item) -> ([String], RawJSON)
    ) async throws {
        var rows = [header]
        var count = 0
        var cursor: String?
        repeat {
            let received = try await page(min(limit - count, 100), cursor)
            for item in received.items.prefix(limit - count) {
                count += 1
                let (columns, object) = row(item)
                if isJSON { Terminal.output.json(object.bytes) } else { rows.append(columns.map { Terminal.brief($0, limit: 80) }) }
            }
            cursor = received.items.isEmpty ? nil : received.nextCursor
        } while cursor != nil && count < limit
        if !isJSON { show(rows) }
    }

    private static func show(_ rows: [[String]]) {
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        for (index, row) in rows.enumerated() {
            var line = ""
            for (column, text) in row.enumerated() {
                let isLast = column == row.count - 1
                line += text + (isLast ? "" : String(repeating: " ", count: widths[column] - text.count + 2))
            }
            Terminal.output.line(index == 0 ? Terminal.output.dim(line) : line)
        }
    }
}
