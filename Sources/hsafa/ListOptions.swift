import ArgumentParser
import HsafaClient
import JSON

/// How much of a list to show, and for whom.
struct ListOptions: ParsableArguments {
    @Option(help: "At most so many, 1 to 10,000.")
    var limit = 50

    @Flag(help: "Print one JSON object a line.")
    var json = false

    func validate() throws {
        guard (1...10_000).contains(limit) else { throw ValidationError("--limit must be 1 to 10,000.") }
    }

    /// As `Table.show`.
    func show<Item>(
        _ header: [String], page: (_ size: Int, _ cursor: String?) async throws -> Page<Item>, row: (Item) -> ([String], RawJSON)
    ) async throws {
        try await Table.show(header, limit: limit, isJSON: json, page: page, row: row)
    }
}
