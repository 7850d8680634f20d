import Domain
import HsafaClient
import JSON
import Testing

/// What every operation does with requests, whatever they ask for.
struct RequestTests {
    @Test func `a sane request id is repeated, another is replaced`() async throws {
        let tenant = try await TestTenant.make()
        #expect(try await tenant.send("GET", "/api/agents", headers: [("X-Request-Id", "a.b_C-9")]).header("X-Request-Id") == "a.b_C-9")
        for id in ["with space", "semi;colon", String(repeating: "x", count: 129), "ü"] {
            let answer = try await tenant.send("GET", "/api/agents/\(unknownID())", headers: [("X-Request-Id", id)])
            try answer.expectProblem(404, "agent_not_found")
            #expect(answer.header("X-Request-Id") != id)
        }
        let first = try await tenant.send("GET", "/api/agents").header("X-Request-Id")
        #expect(try await tenant.send("GET", "/api/agents").header("X-Request-Id") != first)
    }

    @Test func `what is no route is 404, and another method of a route is 405 with Allow`() async throws {
        let tenant = try await TestTenant.make()
        for path in ["/", "/api", "/api/nothing", "/api/agents/\(unknownID())/nothing", "/metrics"] {
            try await tenant.send("GET", path).expectProblem(404, "route_not_found")
        }
        let answer = try await tenant.send("PUT", "/api/agents")
        try answer.expectProblem(405, "method_not_allowed")
        #expect(answer.header("Allow") == "POST, GET, HEAD")
        let stream = try await tenant.send("HEAD", "/api/runs/\(unknownID())/stream")
        #expect(stream.status == 405)
        #expect(stream.header("Allow") == "GET")
    }

    @Test func `HEAD answers as GET does, without the body`() async throws {
        let tenant = try await TestTenant.make()
        let get = try await tenant.send("GET", "/api/agents")
        let head = try await tenant.send("HEAD", "/api/agents")
        #expect(head.status == 200)
        #expect(head.bytes.isEmpty)
        #expect(head.header("Content-Length") == get.header("Content-Length"))
        #expect(head.header("Content-Type") == "application/json")
    }

    @Test func `a refusal of HEAD has no body either, which the next answer would be taken for`() async throws {
        let gateway = try await TestGateway.shared.value
        try await RawConnection.open(gateway) { connection in
            for (path, status) in [("/nowhere", 404), ("/api/agents", 401), ("/api/runs/\(unknownID())/stream", 405)] {
                try await connection.send("HEAD \(path) HTTP/1.1\r\nHost: a\r\n\r\nGET /health HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(try await connection.head().status == status)
                #expect(try await connection.answer().status == 200)
            }
        }
    }

    @Test func `health needs no key`() async throws {
        let client = try await TestGateway.shared.value.client(key: nil)
        #expect(try await client.send("GET", "/health").status == 200)
        #expect(try await client.send("GET", "/health/ready").status == 200)
    }

    @Test func `a body that is not said to be JSON is 415`() async throws {
        let tenant = try await TestTenant.make()
        let types = ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "application/jsonp"]
        for type in types {
            try await tenant.send("POST", "/api/agents", #"{"name":"a"}"#, headers: [("Content-Type", type)])
                .expectProblem(415, "unsupported_media_type")
        }
        try await tenant.send("POST", "/api/agents", #"{"name":"a"}"#, headers: [("Content-Encoding", "gzip")])
            .expectProblem(415, "unsupported_content_encoding")
        for (index, type) in ["application/json", "Application/JSON; charset=UTF-8"].enumerated() {
            #expect(
                try await tenant.send("POST", "/api/agents", #"{"name":"a\#(index)"}"#, headers: [("Content-Type", type)]).status == 201)
        }
    }

    @Test func `a body that is not JSON is 400`() async throws {
        let tenant = try await TestTenant.make()
        let deep = String(repeating: "[", count: 65) + String(repeating: "]", count: 65)
        for body in ["", "{", #"{"name":"a",}"#, #"{'name':'a'}"#, #"{"name":"a"} x"#, #"{"name":"a","name":"b"}"#, "NaN", deep] {
            try await tenant.send("POST", "/api/agents", body).expectProblem(400, "malformed_json")
        }
        let notText = try await tenant.client.raw(
            "POST", "/api/agents", body: Array(#"{"name":""#.utf8) + [0xC3, 0x28] + Array(#""}"#.utf8))
        #expect(notText.status == 400)
        // One level less is JSON like any other, and no object.
        try await tenant.send("POST", "/api/agents", String(deep.dropFirst().dropLast())).expectProblem(422, "invalid_body")
    }

    @Test func `a field that is unknown, missing or of a wrong kind is 422 with its pointer`() async throws {
        let tenant = try await TestTenant.make()
        let bodies = [
            (#"{"name":"a","nick/name":1}"#, "/nick~1name"), ("{}", "/name"), (#"{"name":1}"#, "/name"),
            (#"{"name":"no spaces"}"#, "/name"),
            (#"{"name":"a","config":{"version":"2"}}"#, "/config/version"),
        ]
        for (body, pointer) in bodies {
            let answer = try await tenant.send("POST", "/api/agents", body)
            try answer.expectProblem(422, "invalid_body")
            #expect(try answer.pointers() == [pointer])
        }
    }

    @Test func `what does not exist is 404 before its body is judged`() async throws {
        let tenant = try await TestTenant.make()
        let paths = [
            ("PATCH", "agents", ""), ("POST", "agents", "/versions"), ("POST", "runs", "/tool-results"), ("POST", "runs", "/cancel"),
            ("PATCH", "devices", ""),
        ]
        for (method, what, rest) in paths {
            for body in ["{", #"{"unknown":1}"#] {
                try await tenant.send(method, "/api/\(what)/\(unknownID())\(rest)", body).expectProblem(404, "\(what.dropLast())_not_found")
            }
            try await tenant.send(method, "/api/\(what)/no-uuid\(rest)", "{}").expectProblem(404, "\(what.dropLast())_not_found")
        }
    }

    @Test func `a body that needs less may be less: an enrolment's, and a secret's`() async throws {
        let tenant = try await TestTenant.make()
        func padded(_ text: String, to size: Int) -> String { text + String(repeating: " ", count: size - text.utf8.count) }
        let secret = #"{"value":"12345678","hosts":["a.test"]}"#
        let enrolment = #"{"unknown":1}"#
        try await tenant.send("PUT", "/api/secrets/WIDE", padded(secret, to: Limits.maxSecretBodyBytes + 1)).expectProblem(413, "too_large")
        try await tenant.send("GET", "/api/secrets/WIDE").expectProblem(405, "method_not_allowed")
        #expect(try await tenant.send("PUT", "/api/secrets/WIDE", padded(secret, to: Limits.maxSecretBodyBytes)).status == 201)
        let (atIt, over) = (Limits.maxEnrollmentBodyBytes, Limits.maxEnrollmentBodyBytes + 1)
        try await tenant.send("POST", "/api/devices/enroll", padded(enrolment, to: atIt)).expectProblem(422, "invalid_body")
        try await tenant.send("POST", "/api/devices/enroll", padded(enrolment, to: over)).expectProblem(413, "too_large")
    }

    @Test(arguments: [false, true])
    func `a body may be as large as the bound and not a byte larger`(isChunked: Bool) async throws {
        let tenant = try await TestTenant.make()
        for (size, status) in [(Limits.maxBodyBytes, 201), (Limits.maxBodyBytes + 1, 413)] {
            var body = Array(#"{"name":"large"}"#.utf8)
            body += Array(repeating: UInt8(ascii: " "), count: size - body.count)
            let answer = try await RawConnection.open(tenant.gateway) { connection in
                let head =
                    "POST /api/agents HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(tenant.key)\r\nContent-Type: application/json\r\n"
                if isChunked {
                    try await connection.send(head + "Transfer-Encoding: chunked\r\n\r\n\(String(size, radix: 16))\r\n")
                    try await connection.send(body + Array("\r\n0\r\n\r\n".utf8))
                } else {
                    try await connection.send(head + "Content-Length: \(size)\r\n\r\n")
                    try await connection.send(body)
                }
                return try await connection.answer()
            }
            #expect(answer.status == status, "\(answer.text)")
            if status == 413 { try answer.expectProblem(413, "too_large") }
        }
    }

    @Test func `a target or header fields over their bounds are refused`() async throws {
        let gateway = try await TestGateway.shared.value
        let target = "/health?" + String(repeating: "a", count: Limits.maxURIBytes)
        let long = try await RawConnection.open(gateway) { connection in
            try await connection.send("GET \(target) HTTP/1.1\r\nHost: a\r\n\r\n")
            return try await connection.answer()
        }
        try long.expectProblem(414, "uri_too_long")
        let wide = try await RawConnection.open(gateway) { connection in
            let value = String(repeating: "a", count: Limits.maxHeaderBytes)
            try await connection.send("GET /health HTTP/1.1\r\nHost: a\r\nX-Wide: \(value)\r\n\r\n")
            return try await connection.answer()
        }
        try wide.expectProblem(431, "headers_too_large")
    }

    @Test func `what is no HTTP is told so, and its connection ends`() async throws {
        try await RawConnection.open(try await TestGateway.shared.value) { connection in
            try await connection.send("what is this\r\n\r\n")
            try await connection.answer().expectProblem(400, "malformed_request")
            while try await connection.receive() {}
        }
    }

    @Test func `requests of one connection are answered in order`() async throws {
        let tenant = try await TestTenant.make()
        try await RawConnection.open(tenant.gateway) { connection in
            let paths = ["/health", "/api/agents", "/nowhere", "/api/agents/\(unknownID())"]
            try await connection.send(
                paths.map { "GET \($0) HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(tenant.key)\r\n\r\n" }.joined())
            for status in [200, 200, 404, 404] { #expect(try await connection.answer().status == status) }
        }
    }

    @Test func `query parameters that are unknown, repeated or wrong are 400`() async throws {
        let tenant = try await TestTenant.make()
        let queries = [
            "nothing=1", "limit=1&limit=2", "limit=0", "limit=201", "limit=x", "limit=%2B1", "limit=", "limit=%", "cursor=nonsense",
            "cursor=%FF",
        ]
        for query in queries {
            for list in ["agents", "runs", "devices"] {
                try await tenant.send("GET", "/api/\(list)?\(query)").expectProblem(400, "invalid_query")
            }
        }
        for query in ["status=odd", "agentId=1", "createdAfter=yesterday"] {
            try await tenant.send("GET", "/api/runs?\(query)").expectProblem(400, "invalid_query")
        }
        try await tenant.send("POST", "/api/agents?dry=1", #"{"name":"a"}"#).expectProblem(400, "invalid_query")
    }

    @Test func `pages give each thing once, newest first`() async throws {
        let tenant = try await TestTenant.make()
        var names: [String] = []
        for index in 1...5 { names.append(try await tenant.client.agents.create(name: "agent-\(index)").name) }
        var seen: [String] = []
        var sizes: [Int] = []
        var cursor: String?
        repeat {
            let page = try await tenant.client.agents.list(limit: 2, cursor: cursor)
            seen += page.items.map(\.name)
            sizes.append(page.items.count)
            cursor = page.nextCursor
        } while cursor != nil
        #expect(seen == names.reversed())
        #expect(sizes == [2, 2, 1])
        // A page that is full to the last thing has none after it.
        #expect(try await tenant.client.agents.list(limit: 5).nextCursor == nil)
    }
}
