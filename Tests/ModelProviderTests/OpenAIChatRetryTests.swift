import JSON
import ModelProviders
import Testing

@Suite(.timeLimit(.minutes(5))) struct OpenAIChatRetryTests {
    private let good = ScriptedReply.stream(chunks(delta(#"{"content":"a"}"#, finish: "stop")))

    @Test(arguments: [("retry-after-ms", "40"), ("retry-after", "0.04")]) func `a rate limit is waited out as long as the vendor says`(
        header: String, value: String
    ) async throws {
        let limited = ScriptedReply.json(429, #"{"error":{"message":"slow","code":"rate_limit_exceeded"}}"#, headers: [(header, value)])
        let result = try await call([limited, good])
        #expect(result.response.text == "a")
        try #require(result.requests.count == 2)
        #expect(result.requests[1].arrival - result.requests[0].arrival >= .milliseconds(40))
        #expect(result.requests[0].body == result.requests[1].body)
    }

    @Test func `a wait beyond the bound is left to the caller`() async throws {
        let failed = try await failure([.json(429, "{}", headers: [("retry-after", "3600")])])
        #expect(failed.error.code == .rateLimited)
        #expect(failed.error.retryAfterMilliseconds == 3_600_000)
        #expect(failed.error.isRetryable)
        #expect(failed.requests.count == 1)
    }

    @Test(arguments: [408, 409, 429, 500, 502, 503, 529]) func `a status that may pass is retried`(status: Int) async throws {
        #expect(try await call([.json(status, "{}"), good]).requests.count == 2)
    }

    @Test func `a server that keeps failing is asked three times`() async throws {
        let failed = try await failure([.json(500, #"{"error":{"message":"boom"}}"#)])
        #expect(failed.error.code == .overloaded)
        #expect(failed.error.statusCode == 500)
        #expect(failed.error.isRetryable)
        #expect(!failed.error.hasEmitted)
        #expect(failed.requests.count == 3)
    }

    @Test(arguments: [
        (400, #"{"error":{"message":"no such model"}}"#, ModelError.Code.badRequest),
        (401, #"{"error":{"message":"Incorrect API key"}}"#, .unauthorized),
        (402, "", .quotaExceeded),
        (403, #"{"error":{"message":"no access"}}"#, .forbidden),
        (404, "not found", .badRequest),
        (422, #"{"detail":"bad"}"#, .badRequest),
        (307, "", .badRequest),
        (429, #"{"error":{"message":"You exceeded your quota","type":"insufficient_quota","code":"insufficient_quota"}}"#, .quotaExceeded),
        (429, #"{"error":{"message":"empty","code":"credit_balance_exhausted"}}"#, .quotaExceeded),
        (429, #"{"error":{"message":"spent","type":"spend_limit_reached"}}"#, .quotaExceeded),
        (400, #"{"error":{"message":"filtered","code":"content_filter"}}"#, .contentFiltered),
    ]) func `a failure that does not pass is not retried`(status: Int, body: String, code: ModelError.Code) async throws {
        let failed = try await failure([.json(status, body, headers: [("location", "http://127.0.0.1:1/")]), good])
        #expect(failed.error.code == code)
        #expect(failed.error.statusCode == status)
        #expect(!failed.error.isRetryable)
        #expect(failed.requests.count == 1)
    }

    @Test func `a refused connection is retried and then reported`() async throws {
        try await ScriptedServer.with([good]) { server in
            let baseURL = server.baseURL
            try await server.close()
            try await withOpenAIChatClient { client in
                let error = await #expect(throws: ModelError.self) { try await client.perform(.hello(baseURL: baseURL)) { _ in } }
                #expect(error?.code == .unreachable)
                #expect(error?.isRetryable == true)
                #expect(error?.publicMessage.contains("127.0.0.1") == true)
            }
        }
    }

    @Test func `a huge error body is read up to its bound`() async throws {
        let piece = [UInt8](repeating: UInt8(ascii: "x"), count: 60_000)
        let failed = try await failure([ScriptedReply(status: 400, headers: [], pieces: [piece, piece, piece], ending: .silent)])
        #expect(failed.error.code == .badRequest)
        #expect(failed.error.publicMessage.utf8.count < 1_000)
    }
}
