import Testing

@testable import ModelProviders

@Suite struct RetryPolicyTests {
    private func failure(after milliseconds: Int? = nil, hasEmitted: Bool = false) -> ModelError {
        ModelError(
            code: .overloaded, publicMessage: "x", retryAfterMilliseconds: milliseconds, isRetryable: true, hasEmitted: hasEmitted)
    }

    @Test func `pauses double from half a second up to eight, less up to a quarter`() {
        let policy = ModelRetryPolicy(maxRetries: 100)
        let pauses = [0, 1, 2, 3, 4, 5, 99].map { policy.delay(after: failure(), retries: $0, jitter: 0) }
        #expect(pauses == [.milliseconds(500), .seconds(1), .seconds(2), .seconds(4), .seconds(8), .seconds(8), .seconds(8)])
        #expect(policy.delay(after: failure(), retries: 0, jitter: 1) == .milliseconds(375))
    }

    @Test func `two retries by default, none after deltas or for what does not pass`() {
        let policy = ModelRetryPolicy()
        #expect(policy.delay(after: failure(), retries: 1, jitter: 0) != nil)
        #expect(policy.delay(after: failure(), retries: 2, jitter: 0) == nil)
        #expect(policy.delay(after: failure(hasEmitted: true), retries: 0, jitter: 0) == nil)
        #expect(policy.delay(after: ModelError(code: .unauthorized, publicMessage: "x"), retries: 0, jitter: 0) == nil)
    }

    @Test func `the vendor's wait is taken as it is, up to its bound`() {
        let policy = ModelRetryPolicy()
        #expect(policy.delay(after: failure(after: 20_000), retries: 0, jitter: 1) == .seconds(20))
        #expect(policy.delay(after: failure(after: 30_001), retries: 0, jitter: 1) == nil)
    }

    @Test func `both headers are read, the finer one first`() {
        let read = { (ms: String?, after: String?) in
            RetryAfter.milliseconds(retryAfterMs: ms, retryAfter: after, nowUnixSeconds: 784_111_770)
        }
        #expect(read("12.5", "3") == 13)
        #expect(read(nil, "3") == 3_000)
        #expect(read("x", "1.5") == 1_500)
        #expect(read(nil, "Sun, 06 Nov 1994 08:49:37 GMT") == 7_000)
        #expect(read(nil, "Sun, 06 Nov 1994 08:49:00 GMT") == 0)
        #expect(read(nil, "1e300") == 86_400_000)
        for junk in ["-1", "nan", "soon", "Sun, 06 Foo 1994 08:49:37 GMT", ""] { #expect(read(nil, junk) == nil) }
    }

    @Test(arguments: [
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600),
        ("Mon, 23 Nov 2026 00:00:00 GMT", 1_795_392_000),
    ])
    func `dates are counted from the epoch`(text: String, seconds: Int64) {
        #expect(RetryAfter.httpDate(text) == seconds)
    }
}
