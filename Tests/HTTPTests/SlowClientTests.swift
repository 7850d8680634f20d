import Domain
import Testing

/// Connections that hold a place and send little.
@Suite(.timeLimit(.minutes(5)))
struct SlowClientTests {
    /// Sends a request's beginning, then nothing; returns what it is told and after how long, the connecting included.
    private func cut(_ beginning: String) async throws -> (answer: Answer, after: Duration) {
        let start = ContinuousClock.now
        return try await RawConnection.open(try await TestGateway.shared.value) { connection in
            try await connection.send(beginning)
            let answer = try await connection.answer()
            while try await connection.receive() {}
            return (answer, ContinuousClock.now - start)
        }
    }

    @Test(arguments: ["G", "GET /health HTTP/1.1\r\nHost: a\r\nX-Half: "])
    func `a head that does not come to its end is cut off`(beginning: String) async throws {
        let (answer, after) = try await cut(beginning)
        try answer.expectProblem(408, "request_timeout")
        #expect(after >= .seconds(Limits.requestHeadSeconds - 1))
    }

    @Test func `a body that does not come is cut off`() async throws {
        let tenant = try await TestTenant.make()
        let (answer, after) = try await cut(
            "POST /api/agents HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(tenant.key)\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        try answer.expectProblem(408, "request_timeout")
        #expect(after >= .seconds(Limits.requestBodySeconds - 1))
    }

    @Test func `a head that comes piece by piece has no more time than another`() async throws {
        try await RawConnection.open(try await TestGateway.shared.value) { connection in
            try await connection.send("GET /health HTTP/1.1\r\nHost: a\r\n")
            // Pacing is what is under test here. It goes on until the gateway ends it; one that counted anew with each piece would come
            // to the bound on fields instead.
            for index in 1..<Limits.maxHeaderFields {
                do { try await connection.send("X-\(index): a\r\n") } catch { break }
                try await Task.sleep(for: .seconds(1))
            }
            try await connection.answer().expectProblem(408, "request_timeout")
        }
    }
}
