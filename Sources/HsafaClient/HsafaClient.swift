public import AsyncHTTPClient
import JSON
import NIOCore
public import NIOHTTP1

/// Typed client of a gateway. A value: copies share the HTTP client, whose life is the caller's business.
public struct HsafaClient: Sendable {
    /// Without a trailing slash; a path prefix is kept.
    public let baseURL: String
    public let apiKey: String?
    public let httpClient: HTTPClient
    /// For everything but streams.
    public var timeoutSeconds = 60
    public var maxResponseBytes = 64 << 20
    /// How often a creating request is sent again after the connection was lost.
    public var creationRetries = 2
    /// Is told of what comes from the gateway, as it came, for logs and for checks; called in the task that asked.
    public var onTraffic: (@Sendable (Traffic) -> Void)?

    /// - Parameter httpClient: best made by `makeHTTPClient()`; a client without a read timeout notices a dead stream only when TCP does.
    public init(baseURL: String, apiKey: String?, httpClient: HTTPClient) {
        var base = baseURL[...]
        while base.last == "/" { base.removeLast() }
        self.baseURL = String(base)
        self.apiKey = apiKey
        self.httpClient = httpClient
    }

    /// No redirects (a key must not wander), and a read timeout of three of the gateway's keep-alive comments.
    public static func makeHTTPClient(connectTimeoutSeconds: Int64 = 5, readTimeoutSeconds: Int64 = 45) -> HTTPClient {
        var configuration = HTTPClient.Configuration(
            redirectConfiguration: .disallow,
            timeout: .init(connect: .seconds(connectTimeoutSeconds), read: .seconds(readTimeoutSeconds)))
        configuration.httpVersion = .http1Only
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    /// Ends the HTTP client, for whoever made it for this client alone.
    public func shutdown() async {
        try? await httpClient.shutdown()
    }

    /// One request as it is, with whatever status comes back.
    ///
    /// - Parameter path: begins with `/` and is already percent-encoded, e.g. `/api/runs?limit=10`.
    public func raw(
        _ method: String, _ path: String, headers: [(String, String)] = [], body: [UInt8]? = nil
    ) async throws(HsafaClientError) -> (status: Int, headers: HTTPHeaders, body: [UInt8]) {
        let request = makeRequest(method, path, headers: headers, body: body)
        do {
            let response = try await httpClient.execute(request, timeout: .seconds(Int64(timeoutSeconds)))
            let buffer = try await response.body.collect(upTo: maxResponseBytes)
            let bytes = Array(buffer.readableBytesView)
            let status = Int(response.status.code)
            onTraffic?(
                .answer(
                    Exchange(method: method, path: path, requestBody: body, status: status, headers: response.headers, body: bytes)))
            return (status, response.headers, bytes)
        } catch {
            throw Self.translate(error, baseURL: baseURL)
        }
    }

    func makeRequest(_ method: String, _ path: String, headers: [(String, String)], body: [UInt8]?) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: baseURL + path)
        request.method = HTTPMethod(rawValue: method)
        if let apiKey { request.headers.add(name: "Authorization", value: "Bearer \(apiKey)") }
        for (name, value) in headers { request.headers.replaceOrAdd(name: name, value: value) }
        if let body {
            if !request.headers.contains(name: "Content-Type") {
                request.headers.add(name: "Content-Type", value: "application/json")
            }
            request.body = .bytes(ByteBuffer(bytes: body))
        }
        return request
    }

    static func translate(_ error: any Error, baseURL: String) -> HsafaClientError {
        switch error {
        case let error as HsafaClientError: return error
        case is NIOTooManyBytesError:
            return .malformed("The answer is larger than this client accepts.")
        case let error as HTTPClientError where error == .invalidURL || error == .emptyHost || error == .emptyScheme:
            return .init(status: nil, code: "invalid_request", detail: "“\(baseURL)” is not an http or https URL.")
        case let error as HTTPClientError where error == .cancelled:
            return .init(status: nil, code: "canceled", detail: "The request was canceled.")
        case is CancellationError:
            return .init(status: nil, code: "canceled", detail: "The request was canceled.")
        default:
            return .init(status: nil, code: "unreachable", detail: "No answer from \(baseURL): \(error)")
        }
    }
}

extension HsafaClient {
    /// An answer with a JSON body and a status that the operation allows; anything else is thrown.
    struct Answer {
        let status: Int
        let json: RawJSON
        let root: JSONNode

        func string(_ keys: String...) throws(HsafaClientError) -> String {
            for key in keys { if let value = root[key]?.string { return value } }
            throw .malformed("The answer has no “\(keys[0])”.")
        }
    }

    func call(
        _ method: String, _ path: String, headers: [(String, String)] = [], body: RawJSON? = nil
    ) async throws(HsafaClientError) -> Answer {
        let (status, answerHeaders, bytes) = try await raw(method, path, headers: headers, body: body?.bytes)
        let requestId = answerHeaders.first(name: "X-Request-Id")
        guard (200..<300).contains(status) else {
            throw HsafaClientError(
                status: status, requestId: requestId, retryAfter: answerHeaders.first(name: "Retry-After"), body: bytes)
        }
        do {
            let document = try JSONDocument(parsing: bytes.isEmpty ? Array("{}".utf8) : bytes)
            return Answer(status: status, json: RawJSON(trusted: document.bytes), root: document.root)
        } catch {
            throw .malformed("The answer is not JSON: \(error). Is \(baseURL) an hsafa gateway?", requestId: requestId)
        }
    }

    /// `?a=b&c=d` of the values that are present, or nothing.
    static func query(_ items: [(String, String?)]) -> String {
        var text = ""
        for case let (name, value?) in items {
            text += (text.isEmpty ? "?" : "&") + name + "=" + percentEncode(value)
        }
        return text
    }

    /// Everything but RFC 3986's unreserved characters, so the result is good as a path segment and as a query value.
    public static func percentEncode(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
                bytes.append(byte)
            default:
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// One page of a list, newest data as the gateway orders it.
public struct Page<Item: Sendable>: Sendable {
    public let items: [Item]
    public let nextCursor: String?
}

extension HsafaClient {
    func page<Item>(
        _ path: String, _ items: [(String, String?)], read: (JSONNode) throws(HsafaClientError) -> Item
    ) async throws(HsafaClientError) -> Page<Item> {
        let answer = try await call("GET", path + Self.query(items))
        guard let data = answer.root["data"], data.kind == .array else { throw .malformed("The list has no “data”.") }
        var result: [Item] = []
        for element in data.elements { result.append(try read(element)) }
        return Page(items: result, nextCursor: answer.root["nextCursor"]?.string)
    }
}
