import Domain
import HTTPTypes
import Hummingbird

/// Where a watcher wants to begin: `Last-Event-ID` wins over `?since=`; `42-0` and `42` are the same.
enum StreamOpening {
    static func cursor(_ request: Request) throws(GatewayError) -> Int64 {
        var query = try QueryReader(request)
        let since = query.string("since")
        let format = query.string("format")
        let token = query.string("token")
        try query.finish()
        guard token == nil || request.headers[.authorization] == nil else {
            throw .invalidQuery("token", "must be absent where Authorization is given")
        }
        guard format == nil || format == "hsafa" else { throw .invalidQuery("format", "can be hsafa only; leave it out") }
        // Read also where the header wins: what is wrong is said, not passed over.
        let begin = since.map(parse)
        if case .some(nil) = begin { throw .invalidQuery("since", "must be the id of an event, such as 42-0 or 42") }
        guard let header = request.headers[lastEventID], !header.isEmpty else { return begin.flatMap { $0 } ?? 0 }
        guard let cursor = parse(header) else { throw .invalidHeader("Last-Event-ID", "must be the id of an event, such as 42-0") }
        return cursor
    }

    static func parse(_ text: String) -> Int64? {
        let digits = text.hasSuffix("-0") ? text.dropLast(2) : text[...]
        guard (1...18).contains(digits.utf8.count), digits.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
        return Int64(digits)
    }

    // The name is a valid field name, so this never falls back.
    private static let lastEventID = HTTPField.Name("Last-Event-ID") ?? .range
}
