import AsyncHTTPClient
import JSON
import Logging
import ModelProviders
import NIOCore
import NIOPosix
import Synchronization
import Testing

/// Gathers what a call emits.
final class EventLog: Sendable {
    private let events = Mutex<[ModelEvent]>([])
    func append(_ event: ModelEvent) { events.withLock { $0.append(event) } }
    var all: [ModelEvent] { events.withLock { $0 } }
    var text: String {
        all.reduce(into: "") { if case .textDelta(let text, _) = $1 { $0 += text } }
    }
    var reasoning: String {
        all.reduce(into: "") { if case .reasoningDelta(let text, _) = $1 { $0 += text } }
    }
}

extension ModelCallOptions {
    /// Short pauses; the time-outs stay long where a test is not about them.
    static func test(
        idle: Duration = .seconds(120), total: Duration = .seconds(240), retries: Int = 2, logger: Logger? = nil
    ) -> ModelCallOptions {
        ModelCallOptions(
            idleTimeout: idle, totalTimeout: total,
            retry: ModelRetryPolicy(maxRetries: retries, baseDelay: .milliseconds(2), maxDelay: .milliseconds(8)),
            logger: logger ?? Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }
}

extension ModelRequest {
    static func hello(baseURL: String?, provider: String = "openai-compatible", apiKey: String? = "sk-k") -> ModelRequest {
        ModelRequest(provider: provider, model: "gpt-x", baseURL: baseURL, apiKey: apiKey, messages: [.user("hi")])
    }
}

func withOpenAIChatClient<Value: Sendable>(
    _ options: ModelCallOptions = .test(), connectTimeout: TimeAmount = .seconds(60),
    _ body: (OpenAIChatClient) async throws -> Value
) async throws -> Value {
    var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow, timeout: .init(connect: connectTimeout))
    configuration.connectionPool.retryConnectionEstablishment = false
    let httpClient = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    do {
        let value = try await body(
            OpenAIChatClient(
                exchange: { try await httpClient.execute($0, timeout: TimeAmount($1)) }, options: options))
        try await httpClient.shutdown()
        return value
    } catch {
        try? await httpClient.shutdown()
        throw error
    }
}

/// One call against a server that plays `replies`.
func call(
    _ replies: [ScriptedReply], options: ModelCallOptions = .test(), log: EventLog = EventLog(),
    change: @Sendable (inout ModelRequest) -> Void = { _ in }
) async throws -> (response: ModelResponse, requests: [ReceivedRequest]) {
    try await ScriptedServer.with(replies) { server in
        try await withOpenAIChatClient(options) { client in
            var request = ModelRequest.hello(baseURL: server.baseURL)
            change(&request)
            let response = try await client.perform(request) { log.append($0) }
            return (response, server.requests)
        }
    }
}

/// The error of a call that must fail, and how many requests it made.
func failure(
    _ replies: [ScriptedReply], options: ModelCallOptions = .test(), log: EventLog = EventLog(),
    change: @Sendable (inout ModelRequest) -> Void = { _ in }
) async throws -> (error: ModelError, requests: [ReceivedRequest]) {
    try await ScriptedServer.with(replies) { server in
        try await withOpenAIChatClient(options) { client in
            var request = ModelRequest.hello(baseURL: server.baseURL)
            change(&request)
            let final = request
            let error = try await #require(throws: ModelError.self) { try await client.perform(final) { log.append($0) } }
            return (error, server.requests)
        }
    }
}

/// A reader that takes its time, by a real timer: what is tested is the passing of time itself.
func timePasses(_ time: TimeAmount) async throws {
    try await MultiThreadedEventLoopGroup.singleton.any().scheduleTask(in: time) {}.futureResult.get()
}

/// Chunks of a chat completion, each an event.
func chunks(_ chunks: String..., done: Bool = true, newline: String = "\n") -> String {
    (chunks + (done ? ["[DONE]"] : [])).map { "data: \($0)\(newline)\(newline)" }.joined()
}

func delta(_ delta: String, finish: String? = nil) -> String {
    let finish = finish.map { "\"\($0)\"" } ?? "null"
    return #"{"choices":[{"index":0,"delta":\#(delta),"finish_reason":\#(finish)}]}"#
}
