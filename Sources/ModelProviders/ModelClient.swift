public import AsyncHTTPClient
public import JSON

/// A call of a tool as the model asked for it. `arguments` is the model's own text and may be no JSON.
public struct ModelToolCall: Sendable, Equatable {
    public var providerCallID: String
    public var name: String
    public var arguments: String

    public init(providerCallID: String, name: String, arguments: String) {
        self.providerCallID = providerCallID
        self.name = name
        self.arguments = arguments
    }
}

public enum ModelMessage: Sendable, Equatable {
    case system(String)
    case user(String)
    case assistant(text: String, calls: [ModelToolCall])
    case toolResult(providerCallID: String, name: String, content: String, isError: Bool)
}

/// A tool as it is shown to the model; `inputSchema` is a JSON Schema object.
public struct ModelTool: Sendable, Equatable {
    public var name: String
    public var description: String?
    public var inputSchema: RawJSON

    public init(name: String, description: String?, inputSchema: RawJSON) {
        self.name = name
        self.description = description
        self.inputSchema = inputSchema
    }
}

/// One model call. Its description leaves out the credential and the conversation.
public struct ModelRequest: Sendable, CustomStringConvertible {
    public var provider: String
    public var model: String
    public var baseURL: String?
    public var apiKey: String?
    public var temperature: Double?
    public var maxOutputTokens: Int?
    /// A JSON object whose members go into the vendor's request body as they are.
    public var providerOptions: RawJSON?
    public var messages: [ModelMessage]
    public var tools: [ModelTool]
    /// `auto`, `none` or `required`.
    public var toolChoice: String
    /// The script of a simulated model.
    public var script: RawJSON?
    /// 1-based number of the model call within the run.
    public var step: Int
    /// 1-based number of the attempt at this step; a worker that starts a cut step again counts it up.
    public var attempt: Int

    public init(
        provider: String, model: String, baseURL: String? = nil, apiKey: String? = nil, temperature: Double? = nil,
        maxOutputTokens: Int? = nil, providerOptions: RawJSON? = nil, messages: [ModelMessage], tools: [ModelTool] = [],
        toolChoice: String = "auto", script: RawJSON? = nil, step: Int = 1, attempt: Int = 1
    ) {
        self.provider = provider
        self.model = model
        self.baseURL = baseURL
        self.apiKey = apiKey
        self.temperature = temperature
        self.maxOutputTokens = maxOutputTokens
        self.providerOptions = providerOptions
        self.messages = messages
        self.tools = tools
        self.toolChoice = toolChoice
        self.script = script
        self.step = step
        self.attempt = attempt
    }

    public var description: String { "\(provider)/\(model) step \(step) attempt \(attempt)" }
}

/// `stampNanoseconds` is CLOCK_REALTIME at the moment of emission, where it was asked for.
public enum ModelEvent: Sendable, Equatable {
    case textDelta(String, stampNanoseconds: Int64?)
    case reasoningDelta(String, stampNanoseconds: Int64?)
}

/// Tokens. The cached ones are part of `inputTokens`, those of reasoning part of `outputTokens`.
public struct ModelUsage: Sendable, Equatable {
    public var inputTokens: Int
    public var outputTokens: Int
    public var cachedInputTokens: Int
    public var reasoningTokens: Int

    public init(inputTokens: Int = 0, outputTokens: Int = 0, cachedInputTokens: Int = 0, reasoningTokens: Int = 0) {
        self.inputTokens = inputTokens
        self.outputTokens = outputTokens
        self.cachedInputTokens = cachedInputTokens
        self.reasoningTokens = reasoningTokens
    }
}

public enum ModelFinishReason: String, Sendable {
    case stop
    case length
    case toolCalls = "tool_calls"
    case contentFilter = "content_filter"
    case other
}

public struct ModelResponse: Sendable, Equatable {
    public var text: String
    public var reasoning: String
    public var calls: [ModelToolCall]
    public var usage: ModelUsage
    public var finishReason: ModelFinishReason

    public init(
        text: String = "", reasoning: String = "", calls: [ModelToolCall] = [], usage: ModelUsage = ModelUsage(),
        finishReason: ModelFinishReason = .stop
    ) {
        self.text = text
        self.reasoning = reasoning
        self.calls = calls
        self.usage = usage
        self.finishReason = finishReason
    }
}

/// Why a model call failed: `publicMessage` says to the tenant what to do, `internalDetail` is for logs alone and is free of credentials.
public struct ModelError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Code: String, Sendable, CaseIterable {
        case unauthorized
        case forbidden
        case quotaExceeded = "quota_exceeded"
        case rateLimited = "rate_limited"
        case overloaded
        case badRequest = "bad_request"
        case unreachable
        case timeout
        case malformedResponse = "malformed_response"
        case interrupted
        case contentFiltered = "content_filtered"
        case scripted
    }

    public var code: Code
    public var publicMessage: String
    public var internalDetail: String
    public var statusCode: Int?
    public var retryAfterMilliseconds: Int?
    /// The same call may succeed later.
    public var isRetryable: Bool
    /// Deltas were already given out, so a repeat begins by discarding them.
    public var hasEmitted: Bool

    public init(
        code: Code, publicMessage: String, internalDetail: String = "", statusCode: Int? = nil, retryAfterMilliseconds: Int? = nil,
        isRetryable: Bool = false, hasEmitted: Bool = false
    ) {
        self.code = code
        self.publicMessage = publicMessage
        self.internalDetail = internalDetail
        self.statusCode = statusCode
        self.retryAfterMilliseconds = retryAfterMilliseconds
        self.isRetryable = isRetryable
        self.hasEmitted = hasEmitted
    }

    public var description: String { "\(code.rawValue): \(publicMessage)" }
}

/// The seam to the vendors: one implementation per wire format.
public protocol ModelClient: Sendable {
    /// Streams one model call. `emit` is awaited for each delta: a slow reader slows the model down. Cancellation of the task ends
    /// the call with `CancellationError`; what `emit` throws ends it and is thrown on; every other failure is a `ModelError`.
    func perform(_ request: ModelRequest, emit: @Sendable (ModelEvent) async throws -> Void) async throws -> ModelResponse
}

/// How a request leaves the process: the caller decides where it may go. Redirects are given back (following one would carry a
/// tenant's key and prompt to a host that nobody checked), and a failed connection is reported at once. A `ModelError` that it throws
/// is the call's own; the duration is until the response's head.
public typealias HTTPExchange = @Sendable (HTTPClientRequest, Duration) async throws -> HTTPClientResponse

/// Which client serves which provider name of an agent's config.
public struct ModelDirectory: Sendable {
    private let clients: [String: @Sendable (@escaping HTTPExchange) -> any ModelClient]

    public init(clients: [String: @Sendable (@escaping HTTPExchange) -> any ModelClient]) {
        self.clients = clients
    }

    /// A client whose requests go out by `exchange`.
    public func client(for provider: String, through exchange: @escaping HTTPExchange) -> (any ModelClient)? {
        clients[provider]?(exchange)
    }

    public var providers: [String] { clients.keys.sorted() }
}
