import JSON
import Testing

@testable import ModelProviders

@Suite struct OpenAIChatStreamTests {
    private func play(_ chunks: String..., maxBytes: Int = 1 << 20) throws -> (events: [ModelEvent], response: ModelResponse) {
        var stream = OpenAIChatStream(step: 3, secret: nil, maxBytes: maxBytes, maxCalls: 128)
        var events: [ModelEvent] = []
        for chunk in chunks { events += try stream.consume(Array(chunk.utf8)) }
        return (events, try stream.response())
    }

    @Test func `a call without index comes together from its pieces`() throws {
        let response = try play(
            delta(#"{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\"x\""}}]}"#),
            delta(#"{"tool_calls":[{"function":{"arguments":":1}"}}]}"#),
            delta(#"{"tool_calls":[{"id":"b","function":{"name":"g","arguments":"{}"}}]}"#, finish: "tool_calls")
        ).response
        #expect(
            response.calls == [
                ModelToolCall(providerCallID: "a", name: "f", arguments: #"{"x":1}"#),
                ModelToolCall(providerCallID: "b", name: "g", arguments: "{}"),
            ])
    }

    @Test func `whole calls in one chunk are kept apart, even under one index`() throws {
        let response = try play(
            delta(
                #"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}},{"index":0,"id":"b","function":{"name":"f","arguments":"{\"y\":2}"}}]}"#,
                finish: "stop")
        ).response
        #expect(response.calls.map(\.providerCallID) == ["a", "b"])
        #expect(response.calls.map(\.arguments) == ["{}", #"{"y":2}"#])
        #expect(response.finishReason == .toolCalls)
    }

    @Test func `interleaved calls are told apart by their index, and a repeated name is not joined`() throws {
        let response = try play(
            delta(#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}]}"#),
            delta(#"{"tool_calls":[{"index":1,"id":"b","function":{"name":"g","arguments":"["}}]}"#),
            delta(#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"}"}}]}"#),
            delta(#"{"tool_calls":[{"index":1,"function":{"arguments":"]"}}]}"#, finish: "tool_calls")
        ).response
        #expect(response.calls.map(\.name) == ["f", "g"])
        #expect(response.calls.map(\.arguments) == ["{}", "[]"])
    }

    @Test func `arguments that are no JSON stay the text they were`() throws {
        let response = try play(
            delta(#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{city: Oslo"}}]}"#, finish: "tool_calls")
        ).response
        #expect(response.calls.first?.arguments == "{city: Oslo")
    }

    @Test func `empty arguments, arguments as an object and a missing id are made usable`() throws {
        let response = try play(
            delta(
                #"{"tool_calls":[{"index":0,"function":{"name":"f","arguments":""}},{"index":1,"function":{"name":"g","arguments":{"a": 1}}}]}"#,
                finish: "stop")
        ).response
        #expect(response.calls.map(\.arguments) == ["{}", #"{"a": 1}"#])
        #expect(response.calls.map(\.providerCallID) == ["call_3_1", "call_3_2"])
    }

    @Test(arguments: ["reasoning_content", "reasoning"]) func `reasoning is told apart from text`(field: String) throws {
        let played = try play(delta(#"{"\#(field)":"hm"}"#), delta(#"{"content":"yes"}"#, finish: "stop"))
        #expect(played.events == [.reasoningDelta("hm", stampNanoseconds: nil), .textDelta("yes", stampNanoseconds: nil)])
        #expect(played.response.reasoning == "hm")
        #expect(played.response.text == "yes")
    }

    @Test func `a server that sends both names of reasoning is heard once`() throws {
        #expect(try play(delta(#"{"reasoning_content":"hm","reasoning":"hm"}"#, finish: "stop")).response.reasoning == "hm")
    }

    @Test func `a refusal is the answer's text, and parts of content are joined`() throws {
        #expect(try play(delta(#"{"content":null,"refusal":"No."}"#, finish: "stop")).response.text == "No.")
        #expect(
            try play(delta(#"{"content":[{"type":"text","text":"a"},{"type":"x"},{"text":"b"}]}"#, finish: "stop")).response.text == "ab")
    }

    @Test func `usage is read from the finish chunk with its details`() throws {
        let usage = try play(
            #"{"choices":[{"delta":{"content":"a"},"finish_reason":"length"}],"usage":{"prompt_tokens":5,"completion_tokens":7.0,"prompt_tokens_details":{"cached_tokens":3},"completion_tokens_details":{"reasoning_tokens":2}}}"#
        )
        #expect(usage.response.usage == ModelUsage(inputTokens: 5, outputTokens: 7, cachedInputTokens: 3, reasoningTokens: 2))
        #expect(usage.response.finishReason == .length)
    }

    @Test func `DONE without a finish reason ends an answer that has text`() throws {
        #expect(try play(delta(#"{"content":"a"}"#), "[DONE]").response.finishReason == .stop)
        #expect(throws: ModelError.self) { try play("[DONE]") }
    }

    @Test func `an answer or arguments over the limit are refused`() {
        for chunk in [
            delta(#"{"content":"0123456789"}"#), delta(#"{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"0123456789"}}]}"#),
        ] {
            let error = #expect(throws: ModelError.self) { try play(chunk, chunk, maxBytes: 16) }
            #expect(error?.code == .malformedResponse)
            #expect(error?.isRetryable == false)
        }
    }

    @Test(arguments: ["{", "[]", "1", #"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a"}]},"finish_reason":"stop"}]}"#])
    func `a chunk that makes no sense is a malformed response`(chunk: String) {
        let error = #expect(throws: ModelError.self) { try play(chunk) }
        #expect(error?.code == .malformedResponse)
    }

    @Test(arguments: [
        (#"{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}"#, ModelError.Code.rateLimited),
        (#"{"error":{"message":"x","type":"insufficient_quota","code":"insufficient_quota"}}"#, .quotaExceeded),
        (#"{"error":{"message":"x","code":"credit_balance_exhausted"}}"#, .quotaExceeded),
        (#"{"error":{"message":"x","type":"server_error"}}"#, .overloaded),
        (#"{"error":{"message":"x","code":503}}"#, .overloaded),
        (#"{"error":{"message":"x","type":"invalid_request_error","code":"context_length_exceeded"}}"#, .badRequest),
        (#"{"error":{"message":"x","code":"content_filter"}}"#, .contentFiltered),
        (#"{"error":"something broke"}"#, .interrupted),
    ]) func `an error object in the stream gets the code of its cause`(chunk: String, code: ModelError.Code) {
        let error = #expect(throws: ModelError.self) { try play(chunk) }
        #expect(error?.code == code)
        #expect(error?.isRetryable == code.mayPass)
    }
}
