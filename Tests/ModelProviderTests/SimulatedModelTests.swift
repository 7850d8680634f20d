import JSON
import ModelProviders
import NIOCore
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(5))) struct SimulatedModelTests {
    private func play(
        _ script: StaticString?, step: Int = 1, attempt: Int = 1, messages: [ModelMessage] = [.user("hi there")], log: EventLog = EventLog()
    ) async throws -> ModelResponse {
        let request = ModelRequest(
            provider: "simulated", model: "sim", messages: messages, script: script.map { RawJSON($0) }, step: step, attempt: attempt)
        return try await SimulatedModel().perform(request) { log.append($0) }
    }

    @Test func `each step of the run plays its step of the script, then a closing text`() async throws {
        let script: StaticString = #"{"steps":[{"text":"one"},{"texts":["two"," and","half"]}]}"#
        let log = EventLog()
        #expect(try await play(script).text == "one")
        #expect(try await play(script, step: 2, log: log).text == "two andhalf")
        #expect(log.all.count == 3)
        #expect(try await play(script, step: 3).text == "Done.")
        #expect(try await play(nil).text == "Done.")
        #expect(try await play(#"{"steps":[{"text":"a"},{"text":"b"}],"repeatLast":true}"#, step: 9).text == "b")
    }

    @Test func `text is split by whole characters`() async throws {
        let log = EventLog()
        let response = try await play(#"{"steps":[{"text":"a👨‍👩‍👧éx","chunkCharacters":2,"reasoning":"hmm"}]}"#, log: log)
        #expect(
            log.all == [
                .reasoningDelta("hm", stampNanoseconds: nil), .reasoningDelta("m", stampNanoseconds: nil),
                .textDelta("a👨‍👩‍👧", stampNanoseconds: nil), .textDelta("éx", stampNanoseconds: nil),
            ])
        #expect(response.reasoning == "hmm")
        #expect(response.finishReason == .stop)
    }

    @Test func `counted deltas all come, and usage is counted in words`() async throws {
        let log = EventLog()
        let response = try await play(#"{"steps":[{"deltas":{"count":20,"text":"word "}}]}"#, log: log)
        #expect(log.all.count == 20)
        #expect(response.usage == ModelUsage(inputTokens: 2, outputTokens: 20))
        let given = try await play(#"{"steps":[{"text":"a b","usage":{"inputTokens":7,"outputTokens":9}}]}"#)
        #expect(given.usage == ModelUsage(inputTokens: 7, outputTokens: 9))
    }

    @Test func `tool calls carry JSON as it was written, or any text`() async throws {
        let response = try await play(
            #"{"steps":[{},{"toolCalls":[{"name":"f","arguments":{"a": 1.50}},{"name":"g","argumentsText":"not json"},{"name":"h"}]}]}"#,
            step: 2)
        #expect(
            response.calls == [
                ModelToolCall(providerCallID: "call_2_1", name: "f", arguments: #"{"a": 1.50}"#),
                ModelToolCall(providerCallID: "call_2_2", name: "g", arguments: "not json"),
                ModelToolCall(providerCallID: "call_2_3", name: "h", arguments: "{}"),
            ])
        #expect(response.finishReason == .toolCalls)
    }

    @Test func `placeholders bring in bounded contents, which are not read again`() async throws {
        let result = "{{lastUserMessage}}" + String(repeating: "é", count: 3_000)
        let messages: [ModelMessage] = [
            .user("first"), .user("who?"), .toolResult(providerCallID: "a", name: "f", content: "old", isError: false),
            .toolResult(providerCallID: "b", name: "f", content: result, isError: false),
        ]
        let text = try await play(
            #"{"steps":[{"text":"<{{lastUserMessage}}> {x} {{lastToolResult}}"}]}"#, messages: messages
        ).text
        #expect(text.hasPrefix("<who?> {x} {{lastUserMessage}}éé"))
        #expect(text.utf8.count == "<who?> {x} ".utf8.count + 4_095)
    }

    @Test func `placeholders cannot blow a text up beyond its bound`() async throws {
        let text = String(repeating: "{{lastUserMessage}}", count: 5_000)
        let request = ModelRequest(
            provider: "simulated", model: "sim", messages: [.user(String(repeating: "x", count: 4_096))],
            script: .object { writer in
                writer.key("steps")
                writer.beginArray()
                writer.raw(.object { $0.field("text", string: text) })
                writer.endArray()
            })
        let error = await #expect(throws: ModelError.self) { try await SimulatedModel().perform(request) { _ in } }
        #expect(error?.code == .scripted)
    }

    @Test func `stamps are the real time of each delta`() async throws {
        let log = EventLog()
        _ = try await play(#"{"stamp":true,"steps":[{"texts":["a","b"],"delayMilliseconds":5}]}"#, log: log)
        let stamps = log.all.compactMap { event -> Int64? in
            if case .textDelta(_, let stamp) = event { stamp } else { nil }
        }
        try #require(stamps.count == 2)
        #expect(stamps[1] - stamps[0] >= 4_000_000)
        #expect(stamps[0] > 1_700_000_000_000_000_000)
    }

    @Test func `pacing does not drift when the reader takes its time`() async throws {
        let emissions = Mutex<[ContinuousClock.Instant]>([])
        let request = ModelRequest(
            provider: "simulated", model: "sim", messages: [],
            script: RawJSON(#"{"steps":[{"deltas":{"count":4,"text":"x"},"delayMilliseconds":4000,"initialDelayMilliseconds":20}]}"#))
        let start = ContinuousClock.now
        _ = try await SimulatedModel().perform(request) { _ in
            let isFirst = emissions.withLock { $0.isEmpty }
            if isFirst { try await timePasses(.milliseconds(12_200)) }
            emissions.withLock { $0.append(.now) }
        }
        let times = emissions.withLock { $0 }
        // All later deltas were due while the reader was busy: none waits any more, where relative pauses would take 12 s.
        #expect(times.count == 4)
        #expect(times[0] - start >= .milliseconds(12_220))
        #expect(times[3] - times[0] < .milliseconds(11_900))
    }

    @Test func `deltas come no earlier than their pauses allow`() async throws {
        let start = ContinuousClock.now
        _ = try await play(#"{"steps":[{"deltas":{"count":5,"text":"x"},"delayMilliseconds":10,"initialDelayMilliseconds":15}]}"#)
        #expect(ContinuousClock.now - start >= .milliseconds(55))
    }

    @Test func `cancellation ends a pause at once`() async throws {
        let (deltas, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let request = ModelRequest(
            provider: "simulated", model: "sim", messages: [],
            script: RawJSON(#"{"steps":[{"texts":["a","b"],"delayMilliseconds":60000}]}"#))
        let task = Task { try await SimulatedModel().perform(request) { _ in continuation.yield() } }
        for await _ in deltas { break }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test func `an error comes after its deltas and says whether it may pass`() async throws {
        let log = EventLog()
        let late = await #expect(throws: ModelError.self) {
            try await play(
                #"{"steps":[{"deltas":{"count":5,"text":"x"},"error":{"code":"overloaded","message":"busy","afterDeltas":2}}]}"#, log: log)
        }
        #expect(log.all.count == 2)
        #expect(late?.code == .overloaded)
        #expect(late?.publicMessage == "busy")
        #expect(late?.isRetryable == true)
        #expect(late?.hasEmitted == true)
        let early = await #expect(throws: ModelError.self) { try await play(#"{"steps":[{"text":"x","error":{"message":"no"}}]}"#) }
        #expect(early?.code == .scripted)
        #expect(early?.isRetryable == false)
        #expect(early?.hasEmitted == false)
    }

    @Test func `an error with times passes as retries and attempts go on`() async throws {
        let twice: StaticString = #"{"steps":[{"text":"x","error":{"code":"rate_limited","times":2}}]}"#
        #expect(try await play(twice).text == "x")
        let thrice: StaticString = #"{"steps":[{"text":"x","error":{"code":"rateLimited","times":3}}]}"#
        await #expect(throws: ModelError.self) { try await play(thrice) }
        #expect(try await play(thrice, attempt: 2).text == "x")
        let cut: StaticString = #"{"steps":[{"text":"x","error":{"code":"interrupted","afterDeltas":1,"times":1}}]}"#
        await #expect(throws: ModelError.self) { try await play(cut) }
        #expect(try await play(cut, attempt: 2).text == "x")
    }

    @Test(arguments: [
        (#"{}"#, "/steps"), (#"{"steps":{}}"#, "/steps"), (#"[]"#, ""), (#"{"steps":[],"x":1}"#, "/x"),
        (#"{"steps":[{"text":1}]}"#, "/steps/0/text"), (#"{"steps":[{},{"text":"a","texts":["b"]}]}"#, "/steps/1/texts"),
        (#"{"steps":[{"deltas":{"count":10001,"text":"a"}}]}"#, "/steps/0/deltas/count"),
        (#"{"steps":[{"delayMilliseconds":60001}]}"#, "/steps/0/delayMilliseconds"),
        (#"{"steps":[{"initialDelayMilliseconds":-1}]}"#, "/steps/0/initialDelayMilliseconds"),
        (#"{"steps":[{"chunkCharacters":0}]}"#, "/steps/0/chunkCharacters"),
        (#"{"steps":[{"error":{"code":"nope"}}]}"#, "/steps/0/error/code"),
        (#"{"steps":[{"toolCalls":[{"name":"f","arguments":{},"argumentsText":""}]}]}"#, "/steps/0/toolCalls/0/argumentsText"),
        (#"{"steps":[{"toolCalls":[{}]}]}"#, "/steps/0/toolCalls/0/name"), (#"{"steps":[{"txt":"a"}]}"#, "/steps/0/txt"),
    ]) func `a script that breaks the format is refused with a pointer`(script: String, pointer: String) throws {
        let script = try RawJSON(validating: Array(script.utf8))
        let violation = #expect(throws: JSONViolation.self) { try SimulatedModel.validate(script: script) }
        #expect(violation?.pointer == pointer)
    }

    @Test func `a script within all bounds is accepted, one step or one delta more is not`() throws {
        let steps = { (count: Int) in
            try RawJSON(validating: Array("{\"steps\":[\(Array(repeating: "{}", count: count).joined(separator: ","))]}".utf8))
        }
        try SimulatedModel.validate(script: steps(1_000))
        #expect(throws: JSONViolation.self) { try SimulatedModel.validate(script: steps(1_001)) }
        let text = { (count: Int) in
            try RawJSON(
                validating: Array("{\"steps\":[{\"chunkCharacters\":1,\"text\":\"\(String(repeating: "a", count: count))\"}]}".utf8))
        }
        try SimulatedModel.validate(script: text(10_000))
        #expect(throws: JSONViolation.self) { try SimulatedModel.validate(script: text(10_001)) }
    }

    @Test func `a broken script fails the call with the place, and other steps still play`() async throws {
        let script: StaticString = #"{"steps":[{"text":"fine"},{"text":2}]}"#
        #expect(try await play(script).text == "fine")
        let error = await #expect(throws: ModelError.self) { try await play(script, step: 2) }
        #expect(error?.code == .scripted)
        #expect(error?.publicMessage.contains("/steps/1/text") == true)
    }
}
