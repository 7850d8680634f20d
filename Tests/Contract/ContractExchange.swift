import JSON

extension Contract {
    /// One answer: its status, content type, headers, body and code, and, where it says that all went well, the request as well.
    public func check(_ exchange: Exchange) throws -> [String] {
        _ = ContractTally.telling
        let place = "\(exchange.method) \(exchange.target.prefix(200)) \(exchange.status)"
        let operation = document.operation(exchange.method, exchange.target)
        let problem = exchange.body.flatMap { Self.problem($0, exchange) }
        let code = problem?["code"]?.string
        tally.count { $0.responses += 1 }
        guard let response = response(exchange, operation, code) else {
            let codes = code.map { " (\($0))" } ?? ""
            return ["\(place)\(codes): \(operation?.operationID ?? "no operation") does not describe this status"]
        }
        var found = try checkHeaders(exchange, response) + (try checkBody(exchange, response))
        if let code, !response.codes.contains(code) { found.append("the code \(code) is not described at this status") }
        if let operation {
            if operation.responses[exchange.status] != nil {
                tally.count {
                    $0.operations.insert(operation.operationID)
                    $0.seen.insert("\(operation.operationID) \(exchange.status)")
                }
            }
            found += checkRates(exchange, operation, code)
            if (200..<300).contains(exchange.status) { found += try checkRequest(exchange, operation) }
        }
        return found.map { "\(place) \(operation?.operationID ?? ""): \($0)" }
    }

    private static func problem(_ body: [UInt8], _ exchange: Exchange) -> JSONNode? {
        guard exchange.header("Content-Type") == "application/problem+json" else { return nil }
        return try? JSONDocument(parsing: body).root
    }

    /// The connection answers some requests before their operation can; HEAD has no body that would tell which it was.
    private func response(_ exchange: Exchange, _ operation: ContractOperation?, _ code: String?) -> ContractResponse? {
        let beside = document.besideOperations[exchange.status]
        guard let operation, exchange.method != "OPTIONS" else { return beside }
        if let beside, let code, beside.codes.contains(code), !["route_not_found", "method_not_allowed"].contains(code) { return beside }
        if let own = operation.responses[exchange.status] { return own }
        return exchange.method == "HEAD" ? beside : nil
    }

    // MARK: Headers

    /// Those that mean something to a client: they come only where they are described.
    private static let meaningful: Set<String> = [
        "location", "retry-after", "idempotency-replayed", "www-authenticate", "allow", "ratelimit", "ratelimit-policy", "x-request-id",
        "deprecation", "sunset", "link", "etag",
    ]

    private func checkHeaders(_ exchange: Exchange, _ response: ContractResponse) throws -> [String] {
        var found: [String] = []
        for header in response.headers {
            let values = exchange.headers.filter { $0.name.lowercased() == header.name.lowercased() }.map(\.value)
            guard let value = values.first else {
                if header.isRequired { found.append("the header \(header.name) is not there") }
                continue
            }
            if values.count > 1 { found.append("the header \(header.name) is there \(values.count) times") }
            found += try violations(ofText: value, header.schema).map { "header \(header.name): \(value): \($0)" }
        }
        let described = Set(response.headers.map { $0.name.lowercased() })
        for header in exchange.headers where Self.meaningful.contains(header.name.lowercased()) {
            if !described.contains(header.name.lowercased()) { found.append("the header \(header.name) is not described") }
        }
        return found
    }

    /// "Every answer to a valid key carries `RateLimit-Policy`": all but those that are given before the key is known.
    private func checkRates(_ exchange: Exchange, _ operation: ContractOperation, _ code: String?) -> [String] {
        let isKnown =
            [400, 404, 409, 410, 413, 415, 422].contains(exchange.status) || code == "missing_scope" || code == "admin_required"
        let isBeside = code.map { document.besideOperations[exchange.status]?.codes.contains($0) ?? false } ?? false
        guard operation.scope != nil, isKnown, !isBeside, exchange.method != "HEAD" || exchange.status < 400 else { return [] }
        return exchange.header("RateLimit-Policy") == nil ? ["the header RateLimit-Policy is not there"] : []
    }

    // MARK: Bodies

    private func checkBody(_ exchange: Exchange, _ response: ContractResponse) throws -> [String] {
        guard exchange.method != "HEAD", let body = exchange.body else { return [] }
        guard !response.content.isEmpty else { return body.isEmpty ? [] : ["has a body, and none is described"] }
        let type = exchange.header("Content-Type")?.split(separator: ";").first.map(String.init) ?? "none"
        guard let media = response.content.first(where: { $0.key == type })?.value else {
            return ["the content type \(type) is not described"]
        }
        switch type {
        case "application/json", "application/problem+json":
            let document: JSONDocument
            do { document = try JSONDocument(parsing: body, limits: JSONLimits(maxDepth: 200, maxBytes: 64 << 20)) } catch {
                return ["the body is no JSON: \(error)"]
            }
            return try media["schema"].map { try schemas.violations(of: document.root, $0, .closed) } ?? []
        case "text/event-stream": return try checkEvents(body)
        default: return []
        }
    }

    /// A whole stream.
    private func checkEvents(_ body: [UInt8]) throws -> [String] {
        var found: [String] = []
        var name = "message"
        for line in String(decoding: body, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("event: ") { name = String(line.dropFirst(7)) }
            if line.hasPrefix("data: ") { found += try check(event: name, data: Array(line.dropFirst(6).utf8)) }
            if line.isEmpty { name = "message" }
        }
        return found
    }

    // MARK: Requests

    /// What the gateway has accepted must be described.
    private func checkRequest(_ exchange: Exchange, _ operation: ContractOperation) throws -> [String] {
        tally.count { $0.requests += 1 }
        var found = try checkQuery(exchange.target, operation)
        if let body = exchange.requestBody, !body.isEmpty, let schema = operation.bodySchema {
            let document = try JSONDocument(parsing: body, limits: JSONLimits(maxDepth: 200, maxBytes: 64 << 20))
            found += try schemas.violations(of: document.root, schema, .asWritten).map { "accepted a body whose \($0)" }
        }
        return found
    }

    private func checkQuery(_ target: String, _ operation: ContractOperation) throws -> [String] {
        guard let mark = target.firstIndex(of: "?") else { return [] }
        var found: [String] = []
        for pair in target[mark...].dropFirst().split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map { Self.decoded($0) }
            guard let parameter = operation.parameter(parts[0], in: "query"), let schema = parameter["schema"] else {
                found.append("accepted the query parameter \(parts[0]), which is not described")
                continue
            }
            let value = parts.count > 1 ? parts[1] : ""
            found += try violations(ofText: value, schema).map { "accepted \(parts[0])=\(value), which \($0)" }
        }
        return found
    }

    private static func decoded(_ text: Substring) -> String { String(decoding: bytes(percentDecoding: text) ?? [], as: UTF8.self) }

    /// nil where a percent sign stands before something else than two digits.
    static func bytes(percentDecoding text: Substring) -> [UInt8]? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return bytes
    }

    /// A header's or a parameter's value: a number or a list where the schema asks for one, text otherwise.
    private func violations(ofText text: String, _ schema: SpecValue) throws -> [String] {
        let followed = try SpecReader(root: document.root).followed(schema)
        let value: SpecValue =
            switch followed["type"]?.string {
            case "integer": Int(text).map { .number(String($0)) } ?? .string(text)
            case "array": .array(text.split(separator: ",", omittingEmptySubsequences: false).map { .string(String($0)) })
            default: .string(text)
            }
        return try schemas.violations(of: value.json.document().root, schema, .asWritten)
    }
}
