import ModelProviders
import Testing

@Suite(.timeLimit(.minutes(5))) struct OpenAIChatClientTests {
    private let twoCalls = [
        ModelToolCall(providerCallID: "call_1", name: "get_weather", arguments: #"{"city":"Oslo"}"#),
        ModelToolCall(providerCallID: "call_2", name: "now", arguments: "{}"),
    ]

    @Test(arguments: ["\n", "\r\n", "\r"]) func `the vendor's stream gives its calls and usage`(newline: String) async throws {
        let stream = OpenAIChatFixture.toolCalls.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: newline)
        let response = try await call([.stream(stream)]).response
        #expect(response.calls == twoCalls)
        #expect(response.usage == ModelUsage(inputTokens: 50, outputTokens: 20))
        #expect(response.finishReason == .toolCalls)
        #expect(response.text.isEmpty)
    }

    @Test func `the vendor's stream in two writes, cut at every byte, gives the same calls`() async throws {
        let bytes = Array(OpenAIChatFixture.toolCalls.utf8)
        let cuts = Array(1..<bytes.count)
        let replies = cuts.map { ScriptedReply(pieces: [Array(bytes[..<$0]), Array(bytes[$0...])]) }
        try await ScriptedServer.with(replies) { server in
            try await withOpenAIChatClient { client in
                for cut in cuts {
                    let response = try await client.perform(.hello(baseURL: server.baseURL)) { _ in }
                    guard response.calls == twoCalls, response.usage.inputTokens == 50 else {
                        Issue.record("cut at byte \(cut)")
                        return
                    }
                }
                #expect(server.requests.count == cuts.count)
            }
        }
    }

    @Test(arguments: [
        // Without DONE and with the connection's end; with an error behind the first words; with text beyond ASCII and no usage.
        (chunks(delta(#"{"content":"Grüß "}"#), delta(#"{"content":"👋"}"#, finish: "stop"), done: false), "Grüß 👋"),
        (
            chunks(delta(#"{"reasoning_content":"hm"}"#), delta(#"{"content":"a\u00e9"}"#), delta("{}", finish: "stop"), newline: "\r\n"),
            "aé"
        ),
    ]) func `a variant of the stream, cut at every byte, gives the same text`(stream: String, text: String) async throws {
        let bytes = Array(stream.utf8)
        let replies = (1..<bytes.count).map { ScriptedReply(pieces: [Array(bytes[..<$0]), Array(bytes[$0...])]) }
        try await ScriptedServer.with(replies) { server in
            try await withOpenAIChatClient { client in
                for cut in 1..<bytes.count {
                    let response = try await client.perform(.hello(baseURL: server.baseURL)) { _ in }
                    guard response.text == text, response.finishReason == .stop else {
                        Issue.record("cut at byte \(cut)")
                        return
                    }
                }
            }
        }
    }

    @Test func `text is emitted delta by delta and returned whole`() async throws {
        let log = EventLog()
        let stream = chunks(
            delta(#"{"role":"assistant","content":""}"#), delta(#"{"content":"Grüß "}"#), delta(#"{"content":"dich 👋"}"#),
            delta("{}", finish: "stop"), #"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#)
        let response = try await call([.stream(stream)], log: log).response
        #expect(log.all == [.textDelta("Grüß ", stampNanoseconds: nil), .textDelta("dich 👋", stampNanoseconds: nil)])
        #expect(response.text == "Grüß dich 👋")
        #expect(response.finishReason == .stop)
        #expect(response.usage == ModelUsage(inputTokens: 1, outputTokens: 2))
    }

    @Test func `an answer without DONE is complete once it has its finish reason, even if the connection breaks then`() async throws {
        let stream = chunks(delta(#"{"content":"a"}"#, finish: "stop"), done: false)
        #expect(try await call([.stream(stream)]).response.text == "a")
        #expect(try await call([.stream(stream, ending: .cut)]).response.text == "a")
    }

    @Test func `DONE ends the call though the server keeps the connection`() async throws {
        let stream = chunks(delta(#"{"content":"a"}"#, finish: "stop"))
        #expect(try await call([.stream(stream, ending: .silent)]).response.text == "a")
    }

    @Test func `a server that does not stream is understood`() async throws {
        let body =
            #"{"choices":[{"index":0,"message":{"role":"assistant","content":"whole"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#
        let log = EventLog()
        let response = try await call([.json(200, body)], log: log).response
        #expect(response.text == "whole")
        #expect(log.text == "whole")
        let failed = try await failure([.json(200, #"{"error":"model not loaded"}"#)], options: .test(retries: 0))
        #expect(failed.error.publicMessage.contains("model not loaded"))
    }

    @Test(arguments: [ScriptedReply.Ending.complete, .cut]) func `an answer cut after deltas is interrupted and not repeated`(
        ending: ScriptedReply.Ending
    ) async throws {
        let log = EventLog()
        let stream = chunks(delta(#"{"content":"half"}"#), done: false)
        let failed = try await failure([.stream(stream, ending: ending)], log: log)
        #expect(failed.error.code == .interrupted)
        #expect(failed.error.isRetryable)
        #expect(failed.error.hasEmitted)
        #expect(failed.requests.count == 1)
        #expect(log.text == "half")
    }

    @Test func `an answer cut before its first delta is asked for again`() async throws {
        let good = ScriptedReply.stream(chunks(delta(#"{"content":"a"}"#, finish: "stop")))
        let result = try await call([.stream("", ending: .cut), .stream(": hello\n\n"), good])
        #expect(result.response.text == "a")
        #expect(result.requests.count == 3)
        #expect(Set(result.requests.map(\.body)).count == 1)
    }

    @Test func `an error in the middle of the stream fails the step once deltas are out`() async throws {
        let stream = chunks(delta(#"{"content":"half"}"#), #"{"error":{"message":"The server had an error","type":"server_error"}}"#)
        let failed = try await failure([.stream(stream)])
        #expect(failed.error.code == .overloaded)
        #expect(failed.error.isRetryable)
        #expect(failed.error.hasEmitted)
        #expect(failed.requests.count == 1)
    }

    @Test func `an error object before the first delta is retried when it may pass`() async throws {
        let good = ScriptedReply.stream(chunks(delta(#"{"content":"a"}"#, finish: "stop")))
        let busy = ScriptedReply.stream(chunks(#"{"error":{"message":"busy","code":"overloaded"}}"#))
        #expect(try await call([busy, good]).requests.count == 2)
    }

    @Test func `a line without end is refused before it fills the memory`() async throws {
        var options = ModelCallOptions.test()
        options.maxEventBytes = 100_000
        let piece = [UInt8](repeating: UInt8(ascii: "x"), count: 60_000)
        let failed = try await failure([ScriptedReply(pieces: [Array("data: ".utf8), piece, piece], ending: .silent)], options: options)
        #expect(failed.error.code == .malformedResponse)
        #expect(!failed.error.isRetryable)
        #expect(failed.requests.count == 1)
    }

    @Test func `a web page is refused with a hint at the base URL`() async throws {
        let page = ScriptedReply(headers: [("content-type", "text/html; charset=utf-8")], pieces: [Array("<html>".utf8)])
        let error = try await failure([page]).error
        #expect(error.code == .malformedResponse)
        #expect(error.publicMessage.contains("model.baseURL"))
    }

    @Test func `what emit throws ends the call and comes out unchanged`() async throws {
        struct ReaderGone: Error {}
        let stream = chunks(delta(#"{"content":"a"}"#), done: false)
        try await ScriptedServer.with([.stream(stream, ending: .silent)]) { server in
            try await withOpenAIChatClient { client -> Void in
                await #expect(throws: ReaderGone.self) {
                    try await client.perform(.hello(baseURL: server.baseURL)) { _ in throw ReaderGone() }
                }
            }
            for await _ in server.closed { break }
        }
    }

    @Test func `cancellation ends the call at once and closes the connection`() async throws {
        let stream = chunks(delta(#"{"content":"a"}"#), done: false)
        try await ScriptedServer.with([.stream(stream, ending: .silent)]) { server in
            try await withOpenAIChatClient { client in
                let (deltas, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
                let task = Task { try await client.perform(.hello(baseURL: server.baseURL)) { _ in continuation.yield() } }
                for await _ in deltas { break }
                task.cancel()
                await #expect(throws: CancellationError.self) { try await task.value }
                for await _ in server.closed { break }
            }
        }
    }

    @Test func `cancellation ends a call that waits for the head, and one that waits to retry`() async throws {
        for reply in [ScriptedReply(isMute: true), .json(503, "{}", headers: [("retry-after", "20")])] {
            try await ScriptedServer.with([reply]) { server in
                try await withOpenAIChatClient { client in
                    let task = Task { try await client.perform(.hello(baseURL: server.baseURL)) { _ in } }
                    while server.requests.isEmpty { await Task.yield() }
                    task.cancel()
                    await #expect(throws: CancellationError.self) { try await task.value }
                }
            }
        }
    }
}
