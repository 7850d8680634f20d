import Cryptography
import JSON

extension HsafaClient {
    /// A POST that creates. It carries an `Idempotency-Key`, the caller's or one made here, and is sent again under the same key when
    /// nobody can know whether it arrived: the connection was lost, or the gateway is away or still at it. So it creates once.
    ///
    /// At most `creationRetries` times, and not beyond `timeoutSeconds` altogether.
    func create(_ path: String, idempotencyKey: String?, body: RawJSON) async throws(HsafaClientError) -> Answer {
        let headers = [("Idempotency-Key", idempotencyKey ?? Base62.random(count: 22))]
        let end = ContinuousClock.now + .seconds(timeoutSeconds)
        var backOff = BackOff(initialMilliseconds: 200, maximumMilliseconds: 2000)
        var retries = 0
        while true {
            do { return try await call("POST", path, headers: headers, body: body) } catch {
                guard retries < creationRetries, error.isWorthAnotherCreation, ContinuousClock.now < end else { throw error }
                retries += 1
                let asked = Duration.seconds(min(error.retryAfterSeconds ?? 0, 5))
                do { try await Task.sleep(for: max(asked, backOff.next())) } catch {
                    throw HsafaClientError(status: nil, code: "canceled", detail: "The request was canceled.")
                }
            }
        }
    }
}

extension HsafaClientError {
    /// Under an `Idempotency-Key`. A 429 or a 500 is the caller's to judge.
    var isWorthAnotherCreation: Bool { isUnreachable || status == 503 || code == "request_in_flight" }
}
