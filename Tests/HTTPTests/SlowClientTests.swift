import Domain
import Testing

/// Connections that hold a place and send little.
@Suite(.timeLimit(.minutes(2)))
struct SlowClientTests {
    /// Sends a request's beginning, then nothing; returns what it is told and after how long.
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

    @Test func `a head that comes byte by byte has no more time than another`() async throws {
        let gateway = try await TestGateway.shared.value
        let start = ContinuousClock.now
        try await RawConnection.open(gateway) { connection in
            try await connection.send("GET /health HTTP/1.1\r\nHost: a\r\n")
            // Pacing is what is under test here.
            for index in 1..<Limits.requestHeadSeconds {
                try await connection.send("X-\(index): a\r\n")
                try await Task.sleep(until: start + .seconds(index))
            }
            try await connection.answer().expectProblem(408, "request_timeout")
            #expect(ContinuousClock.now - start < .seconds(Limits.requestHeadSeconds + 10))
        }
    }
}
