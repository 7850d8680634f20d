import HsafaClient
import JSON
import NIOHTTP1
import Testing

/// What the gateway answered.
struct Answer: Sendable {
    let status: Int
    let headers: HTTPHeaders
    let bytes: [UInt8]

    var text: String { String(decoding: bytes, as: UTF8.self) }

    func header(_ name: String) -> String? { headers.first(name: name) }
    func json() throws -> JSONNode { try JSONDocument(parsing: bytes).root }
    func string(_ key: String) throws -> String { try #require(try json()[key]?.string, "no \(key) in \(text)") }

    /// The items of a list.
    func data() throws -> [JSONNode] { try Array(#require(try json()["data"]?.elements, "no list: \(text)")) }

    /// Pointers of `errors`.
    func pointers() throws -> [String] { try (json()["errors"]?.elements).map { $0.compactMap { $0["pointer"]?.string } } ?? [] }

    /// What every failure looks like: RFC 9457, with our extensions.
    func expectProblem(_ status: Int, _ code: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        #expect(self.status == status, "\(text)", sourceLocation: sourceLocation)
        #expect(header("Content-Type") == "application/problem+json", sourceLocation: sourceLocation)
        #expect(header("Cache-Control") == "no-store", sourceLocation: sourceLocation)
        let problem = try json()
        #expect(problem["code"]?.string == code, "\(text)", sourceLocation: sourceLocation)
        #expect(problem["status"]?.int == status, sourceLocation: sourceLocation)
        #expect(problem["type"]?.string == "about:blank", sourceLocation: sourceLocation)
        #expect(problem["title"]?.string?.isEmpty == false, sourceLocation: sourceLocation)
        #expect(problem["detail"]?.string?.isEmpty == false, sourceLocation: sourceLocation)
        #expect(problem["requestId"]?.string == header("X-Request-Id"), sourceLocation: sourceLocation)
    }
}

extension HsafaClient {
    /// One request with the key of this client; a body goes as `application/json` unless the headers say otherwise.
    func send(_ method: String, _ path: String, _ body: String? = nil, headers: [(String, String)] = []) async throws -> Answer {
        let answer = try await raw(method, path, headers: headers, body: body.map { Array($0.utf8) })
        return Answer(status: answer.status, headers: answer.headers, bytes: answer.body)
    }
}

// Domain has types of the same names, so these are named here, where it is not imported.
extension HsafaClient {
    typealias Event = RunEvent
}

extension RunEvent {
    func json() throws -> JSONNode { try data.document().root }

    /// A text of the event's data.
    subscript(_ key: String) -> String? { (try? json())?[key]?.string }
}
