import AsyncHTTPClient
import NIOCore
import NIOHTTP1

/// What is sent, the same at each attempt.
struct OpenAIChatCall: Sendable {
    let endpoint: ModelEndpoint
    let apiKey: String?
    let step: Int
    let httpRequest: HTTPClientRequest

    init(_ request: ModelRequest) throws(ModelError) {
        guard let base = request.baseURL ?? OpenAIChatClient.knownBaseURLs[request.provider] else {
            throw ModelError(code: .badRequest, publicMessage: "model.baseURL is needed for the provider \(request.provider).")
        }
        endpoint = try ModelEndpoint(base: base, path: "/chat/completions")
        apiKey = try Self.checked(request.apiKey)
        step = request.step
        var httpRequest = HTTPClientRequest(url: endpoint.url)
        httpRequest.method = .POST
        httpRequest.headers.add(name: "content-type", value: "application/json")
        httpRequest.headers.add(name: "accept", value: "text/event-stream, application/json")
        httpRequest.headers.add(name: "user-agent", value: "hsafa-gateway")
        if let apiKey { httpRequest.headers.add(name: "authorization", value: "Bearer \(apiKey)") }
        httpRequest.body = .bytes(ByteBuffer(bytes: try OpenAIChatBody.make(request)))
        self.httpRequest = httpRequest
    }

    /// The HTTP client would refuse other characters too, with an error that shows the value. Space around a key comes from copying.
    private static func checked(_ key: String?) throws(ModelError) -> String? {
        guard let key else { return nil }
        var bytes = Array(key.utf8)[...]
        while let first = bytes.first, first <= 0x20 { bytes.removeFirst() }
        while let last = bytes.last, last <= 0x20 { bytes.removeLast() }
        guard bytes.count <= 8_192, bytes.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw ModelError(code: .badRequest, publicMessage: "model.apiKey contains characters that an HTTP header cannot have.")
        }
        return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
    }
}
