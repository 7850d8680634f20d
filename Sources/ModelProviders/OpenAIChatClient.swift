import AsyncHTTPClient
import JSON
import Logging
import NIOCore
import NIOHTTP1
import ServerSentEvents

/// OpenAI Chat Completions, streamed: for OpenAI itself, xAI, and every server that speaks the format (vLLM, llama.cpp, Ollama, …).
public struct OpenAIChatClient: ModelClient {
    /// Providers that need no `baseURL`.
    static let knownBaseURLs = ["openai": "https://api.openai.com/v1", "xai": "https://api.x.ai/v1"]

    private let exchange: HTTPExchange
    private let options: ModelCallOptions

    public init(exchange: @escaping HTTPExchange, options: ModelCallOptions = ModelCallOptions()) {
        self.exchange = exchange
        self.options = options
    }

    public func perform(
        _ request: ModelRequest, emit: @Sendable (ModelEvent) async throws -> Void
    ) async throws -> ModelResponse {
        let names = WireNames(request.tools.map(\.name))
        let call = try OpenAIChatCall(request.named(names))
        let watchdog = CallWatchdog(idleTimeout: options.idleTimeout, totalTimeout: options.totalTimeout)
        var response = try await withoutActuallyEscaping(emit) { emit in
            try await watchdog.guarding { try await attempts(call, watchdog, emit) }
        }
        for index in response.calls.indices { response.calls[index].name = names.originalName(response.calls[index].name) }
        return response
    }

    private func attempts(
        _ call: OpenAIChatCall, _ watchdog: CallWatchdog, _ emit: @escaping @Sendable (ModelEvent) async throws -> Void
    ) async throws -> ModelResponse {
        var retries = 0
        while true {
            do {
                watchdog.resume()
                return try await talk(call, watchdog, emit)
            } catch var error as ModelError {
                error.hasEmitted = error.hasEmitted || watchdog.hasEmitted
                guard
                    let delay = options.retry.delay(after: error, retries: retries, jitter: .random(in: 0...1)),
                    ContinuousClock.now.advanced(by: delay) < watchdog.deadline
                else { throw error }
                retries += 1
                options.logger.info(
                    "model call failed, trying again",
                    metadata: [
                        "host": "\(call.endpoint.authority)", "code": "\(error.code.rawValue)", "status": "\(error.statusCode ?? 0)",
                        "retry": "\(retries)", "delay": "\(delay)",
                    ])
                watchdog.pause()
                try await Task.sleep(for: delay)
            }
        }
    }

    private func talk(
        _ call: OpenAIChatCall, _ watchdog: CallWatchdog, _ emit: @Sendable (ModelEvent) async throws -> Void
    ) async throws -> ModelResponse {
        let response = try await send(call)
        watchdog.resume()
        guard (200...299).contains(response.status.code) else { throw try await failure(response, call, watchdog) }
        let contentType = (response.headers.first(name: "content-type") ?? "").lowercased()
        guard !contentType.hasPrefix("text/html") else {
            throw OpenAIChatStream.malformed("it is a web page; check model.baseURL")
        }
        var stream = OpenAIChatStream(
            step: call.step, secret: call.apiKey, maxBytes: options.maxAccumulatedBytes, maxCalls: options.maxToolCalls)
        if contentType.hasPrefix("application/json") {
            // The server does not stream: its whole answer (or error) is the only chunk.
            let body = try await read(response, upTo: options.maxEventBytes, watchdog)
            guard !body.isCut else { throw OpenAIChatStream.malformed("it is larger than \(options.maxEventBytes) bytes") }
            try await give(stream.consume(body.bytes), watchdog, emit)
            return try stream.response()
        }
        var parser = SSEParser(limits: .init(maxLineBytes: options.maxEventBytes, maxEventBytes: options.maxEventBytes))
        var body = response.body.makeAsyncIterator()
        while let buffer = try await next(&body, isFinished: stream.isFinished) {
            watchdog.resume()
            for event in try events(in: buffer, &parser) {
                try await give(stream.consume(event.data), watchdog, emit)
            }
            // Leaving the rest unread gives up an HTTP/1 connection; waiting for its end could take as long as the server likes.
            if stream.isDone { break }
        }
        return try stream.response()
    }

    private func give(
        _ deltas: [ModelEvent], _ watchdog: CallWatchdog, _ emit: @Sendable (ModelEvent) async throws -> Void
    ) async throws {
        guard !deltas.isEmpty else { return }
        watchdog.pause(emitting: true)
        for delta in deltas {
            try Task.checkCancellation()
            try await emit(delta)
        }
        watchdog.resume()
    }

    private func events(in buffer: ByteBuffer, _ parser: inout SSEParser) throws(ModelError) -> [ServerSentEvent] {
        do {
            return try parser.parse(buffer)
        } catch {
            throw OpenAIChatStream.malformed("a part of its stream is larger than \(options.maxEventBytes) bytes", detail: "\(error)")
        }
    }

    private func send(_ call: OpenAIChatCall) async throws -> HTTPClientResponse {
        do {
            // The watchdog ends the call by cancellation; this deadline is the client's own and never the earlier one.
            return try await exchange(call.httpRequest, options.totalTimeout)
        } catch let error as ModelError {
            throw error
        } catch {
            try Task.checkCancellation()
            throw ModelError(
                code: .unreachable, publicMessage: "The model server \(call.endpoint.authority) cannot be reached.",
                internalDetail: "\(error)".cleaned(without: call.apiKey, maxBytes: 1_000), isRetryable: true)
        }
    }

    /// The next piece of a body, nil at its end. A connection that breaks once the answer is complete does no harm.
    private func next(_ body: inout HTTPClientResponse.Body.AsyncIterator, isFinished: Bool) async throws -> ByteBuffer? {
        let buffer: ByteBuffer?
        do {
            buffer = try await body.next()
        } catch {
            try Task.checkCancellation()
            if isFinished { return nil }
            throw ModelError(
                code: .interrupted, publicMessage: "The model provider broke the answer off.", internalDetail: "\(error)",
                isRetryable: true)
        }
        // A cancelled sequence may just end.
        try Task.checkCancellation()
        return buffer
    }

    private func read(
        _ response: HTTPClientResponse, upTo limit: Int, _ watchdog: CallWatchdog
    ) async throws -> (bytes: [UInt8], isCut: Bool) {
        var bytes: [UInt8] = []
        var body = response.body.makeAsyncIterator()
        while let buffer = try await next(&body, isFinished: false) {
            watchdog.resume()
            bytes.append(contentsOf: buffer.readableBytesView.prefix(limit - bytes.count))
            if bytes.count == limit { return (bytes, true) }
        }
        return (bytes, false)
    }

    private func failure(
        _ response: HTTPClientResponse, _ call: OpenAIChatCall, _ watchdog: CallWatchdog
    ) async throws -> ModelError {
        let status = Int(response.status.code)
        if (300...399).contains(status) {
            return ModelError(
                code: .badRequest,
                publicMessage: "The model server redirects (\(status)), which is not followed; put the final address into model.baseURL.",
                statusCode: status)
        }
        var body: [UInt8] = []
        do {
            body = try await read(response, upTo: options.maxErrorBodyBytes, watchdog).bytes
        } catch is ModelError {
            // The status alone says enough.
        }
        let retryAfter = RetryAfter.milliseconds(
            retryAfterMs: response.headers.first(name: "retry-after-ms"), retryAfter: response.headers.first(name: "retry-after"),
            nowUnixSeconds: RealtimeClock.nanoseconds() / 1_000_000_000)
        return VendorFailure(body: body, status: status, secret: call.apiKey).error(retryAfterMilliseconds: retryAfter)
    }
}
