import AsyncHTTPClient
import HsafaClient
import NIOCore
import NIOHTTP1
import Testing

/// One response of `GET …/stream`, as bytes.
struct EventStream {
    struct Event: Sendable, Equatable {
        let id: String
        let data: String
        var seq: Int { Int(id.dropLast(2)) ?? -1 }
    }

    let status: Int
    let headers: HTTPHeaders
    private(set) var text = ""
    private var body: HTTPClientResponse.Body.AsyncIterator

    static func open(_ tenant: TestTenant, _ run: String, _ query: String = "", lastEventID: String? = nil) async throws -> EventStream {
        try await open(tenant.client, run, query, lastEventID: lastEventID)
    }

    static func open(_ client: HsafaClient, _ run: String, _ query: String = "", lastEventID: String? = nil) async throws -> EventStream {
        var request = HTTPClientRequest(url: client.baseURL + "/api/runs/\(run)/stream\(query)")
        if let key = client.apiKey { request.headers.add(name: "Authorization", value: "Bearer \(key)") }
        if let lastEventID { request.headers.add(name: "Last-Event-ID", value: lastEventID) }
        let response = try await client.httpClient.execute(request, timeout: .seconds(240))
        return EventStream(
            status: Int(response.status.code), headers: response.headers, body: response.body.makeAsyncIterator())
    }

    private init(status: Int, headers: HTTPHeaders, body: HTTPClientResponse.Body.AsyncIterator) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// Waits for more; false at the end.
    mutating func receive() async throws -> Bool {
        guard let chunk = try await body.next() else { return false }
        text += String(buffer: chunk)
        return true
    }

    /// Everything to the end.
    static func whole(_ tenant: TestTenant, _ run: String, _ query: String = "", lastEventID: String? = nil) async throws -> EventStream {
        var stream = try await open(tenant, run, query, lastEventID: lastEventID)
        while try await stream.receive() {}
        return stream
    }

    /// What has come so far, each block exactly as the contract writes it.
    func events() throws -> [Event] { text.isEmpty ? [] : try Self.events(in: text) }

    static func events(in text: String) throws -> [Event] {
        var blocks = text.components(separatedBy: "\n\n")
        try #require(blocks.removeFirst() == "retry: 1000")
        blocks.removeLast()
        return try blocks.filter { $0 != ": keep-alive" }.map { block in
            let lines = block.split(separator: "\n", omittingEmptySubsequences: false)
            try #require(
                lines.count == 3 && lines[0].hasPrefix("id: ") && lines[1] == "event: hsafa" && lines[2].hasPrefix("data: "), "\(block)")
            return Event(id: String(lines[0].dropFirst(4)), data: String(lines[2].dropFirst(6)))
        }
    }
}

extension String {
    fileprivate func components(separatedBy separator: String) -> [String] {
        var parts: [String] = []
        var rest = self[...]
        while let range = rest.firstRange(of: separator) {
            parts.append(String(rest[..<range.lowerBound]))
            rest = rest[range.upperBound...]
        }
        return parts + [String(rest)]
    }
}
