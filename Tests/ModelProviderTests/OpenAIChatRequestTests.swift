import JSON
import Logging
import NIOHTTP1
import Synchronization
import Testing

@testable import ModelProviders

@Suite(.timeLimit(.minutes(5))) struct OpenAIChatRequestTests {
    private func body(_ request: ModelRequest) throws -> JSONNode { try JSONDocument(parsing: OpenAIChatBody.make(request)).root }

    private let weather = ModelTool(
        name: "get_weather", description: "d",
        inputSchema: RawJSON(
            #"{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}"#))

    @Test func `a whole conversation is sent as the vendor's SDK sends it`() throws {
        let request = ModelRequest(
            provider: "openai", model: "gpt-x", apiKey: "sk-k",
            messages: [
                .system("sys"), .user("hi"),
                .assistant(text: "", calls: [ModelToolCall(providerCallID: "call_0", name: "get_weather", arguments: "{}")]),
                .toolResult(providerCallID: "call_0", name: "get_weather", content: "{}", isError: false),
            ], tools: [weather])
        let expected = OpenAIChatFixture.conversationRequest.replacing(#", "strict": true"#, with: "")
        #expect(try body(request).canonical() == JSONDocument(parsing: Array(expected.utf8)).root.canonical())
    }

    @Test func `a plain request differs from the SDK's by asking for usage alone`() throws {
        let request = ModelRequest(
            provider: "openai-compatible", model: "err429", providerOptions: RawJSON(#"{"stream_options":null}"#), messages: [.user("x")])
        #expect(try body(request).canonical() == JSONDocument(parsing: Array(OpenAIChatFixture.plainRequest.utf8)).root.canonical())
    }

    @Test func `path and headers are the vendor's`() async throws {
        let good = ScriptedReply.stream(chunks(delta(#"{"content":"a"}"#, finish: "stop")))
        let received = try #require(try await call([good]) { $0.apiKey = " sk-k\n" }.requests.first)
        #expect(received.method == "POST")
        #expect(received.uri == "/v1/chat/completions")
        #expect(received.headers["authorization"] == ["Bearer sk-k"])
        #expect(received.headers["content-type"] == ["application/json"])
        #expect(try JSONDocument(parsing: received.body).root["model"]?.string == "gpt-x")
        let anonymous = try #require(try await call([good]) { $0.apiKey = nil }.requests.first)
        #expect(!anonymous.headers.contains(name: "authorization"))
    }

    @Test func `other providers get a system role and settings where they are set`() throws {
        var request = ModelRequest.hello(baseURL: "http://h/v1")
        request.messages.insert(.system("s"), at: 0)
        request.temperature = 0.5
        request.maxOutputTokens = 100
        request.toolChoice = "required"
        #expect(try body(request)["tool_choice"] == nil)
        request.tools = [ModelTool(name: "f", description: nil, inputSchema: RawJSON("{ }"))]
        let sent = try body(request)
        #expect(sent["messages"]?[0]?["role"]?.string == "system")
        #expect(sent["temperature"]?.double == 0.5)
        #expect(sent["max_completion_tokens"]?.int == 100)
        #expect(sent["tool_choice"]?.string == "required")
        #expect(sent["tools"]?[0]?["function"]?["parameters"]?["type"]?.string == "object")
        #expect(sent["tools"]?[0]?["function"]?["description"] == nil)
    }

    @Test func `provider options are merged in but cannot take the request over`() throws {
        var request = ModelRequest.hello(baseURL: "http://h/v1")
        request.temperature = 0.5
        request.maxOutputTokens = 100
        request.providerOptions = RawJSON(
            #"{"model":"other","messages":[],"stream":false,"tools":[1],"temperature":1,"max_completion_tokens":null,"max_tokens":7,"reasoning_effort":"low","x":{"y":[1.50]}}"#
        )
        let sent = try body(request)
        #expect(sent["model"]?.string == "gpt-x")
        #expect(sent["messages"]?.count == 1)
        #expect(sent["stream"]?.bool == true)
        #expect(sent["tools"] == nil)
        #expect(sent["temperature"]?.int == 1)
        #expect(sent["max_completion_tokens"] == nil)
        #expect(sent["max_tokens"]?.int == 7)
        #expect(sent["reasoning_effort"]?.string == "low")
        #expect(sent["x"]?.rawJSON == RawJSON(#"{"y":[1.50]}"#))
        request.providerOptions = RawJSON("[]")
        let final = request
        #expect(throws: ModelError.self) { try OpenAIChatBody.make(final) }
    }

    @Test(arguments: [
        ("https://api.openai.com/v1", "https://api.openai.com/v1/chat/completions"),
        ("HTTPS://h:8443/v1//", "https://h:8443/v1/chat/completions"),
        ("http://[::1]:8000", "http://[::1]:8000/chat/completions"),
        ("https://h/openai?api-version=1", "https://h/openai/chat/completions?api-version=1"),
        ("https://h/v1/chat/completions", "https://h/v1/chat/completions"),
        ("https://h?x=/a", "https://h/chat/completions?x=/a"),
    ]) func `a base URL is joined with the path`(base: String, url: String) throws {
        #expect(try ModelEndpoint(base: base, path: "/chat/completions").url == url)
    }

    @Test(arguments: [
        "", "h/v1", "ftp://h", "file:///etc/passwd", "https://", "https:///v1", "https://:80", "https://user:pw@h/v1", "https://h/#x",
        "https://h/v1\r\nX: y", "https://h/ v", "https://hä/", "https://h\\@i/", "http+unix://x",
    ]) func `a base URL that is none is refused`(base: String) {
        let error = #expect(throws: ModelError.self) { try ModelEndpoint(base: base, path: "/chat/completions") }
        #expect(error?.code == .badRequest)
    }

    @Test func `a compatible provider without a base URL is told so`() async throws {
        try await withOpenAIChatClient { client in
            let error = await #expect(throws: ModelError.self) { try await client.perform(.hello(baseURL: nil)) { _ in } }
            #expect(error?.publicMessage.contains("baseURL") == true)
        }
    }
}

@Suite(.timeLimit(.minutes(5))) struct CredentialTests {
    private static let key = "sk-very-secret-0123456789"

    @Test(arguments: [
        ScriptedReply.json(401, #"{"error":{"message":"Incorrect API key provided: sk-very-secret-0123456789\#u{0301}."}}"#),
        .json(400, #"{"error":{"message":"bad header Bearer sk-very-secret-0123456789","code":"sk-very-secret-0123456789"}}"#),
        .json(400, "echo: sk-very-secret-0123456789"),
        .json(500, #"{"error":"sk-very-secret-0123456789"}"#),
        .json(403, #"{"detail":"sk-very-secret-0123456789"}"#),
        .stream(#"data: {"error":{"message":"sk-very-secret-0123456789","type":"x"}}"# + "\n\n"),
        .stream("data: {sk-very-secret-0123456789\n\n"),
    ]) func `a server that echoes the key does not get it into errors or logs`(reply: ScriptedReply) async throws {
        let log = LogLines()
        let logger = Logger(label: "test") { _ in LineHandler(log: log) }
        let error = try await failure([reply], options: .test(logger: logger)) { $0.apiKey = Self.key }.error
        for text in [error.publicMessage, error.internalDetail, "\(error)", String(reflecting: error), log.text] {
            #expect(!text.utf8.contains(Self.key.utf8))
        }
    }

    @Test func `a request that is logged does not show its key`() {
        let request = ModelRequest.hello(baseURL: "http://h/v1", apiKey: Self.key)
        #expect(
            "\(request) \(String(reflecting: request))"
                == "openai-compatible/gpt-x step 1 attempt 1 openai-compatible/gpt-x step 1 attempt 1")
    }

    @Test func `a key that no header can carry is refused without being shown`() async throws {
        try await withOpenAIChatClient { client in
            for key in ["sk-\nsecret", "sk-secret\u{0}x", "sk-sécret", "sk secret"] {
                let error = await #expect(throws: ModelError.self) {
                    try await client.perform(.hello(baseURL: "http://127.0.0.1:9/v1", apiKey: key)) { _ in }
                }
                #expect(error?.code == .badRequest)
                #expect(error.map { String(reflecting: $0).contains("secret") } == false)
            }
        }
    }
}

extension Collection where Element: Equatable {
    fileprivate func contains(_ other: some Collection<Element>) -> Bool { !other.isEmpty && firstRange(of: other) != nil }
}

/// A log kept as text, metadata included.
private final class LogLines: Sendable {
    private let lines = Mutex<[String]>([])
    var text: String { lines.withLock { $0.joined(separator: "\n") } }
    func append(_ line: String) { lines.withLock { $0.append(line) } }
}

private struct LineHandler: LogHandler {
    let log: LogLines
    var metadata = Logger.Metadata()
    var metadataProvider: Logger.MetadataProvider?
    var logLevel = Logger.Level.trace

    func log(event: LogEvent) { log.append("\(event.message) \(event.metadata ?? [:])") }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }
}
