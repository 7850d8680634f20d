import Domain
import HsafaClient
import HTTPTypes
import Hummingbird
import JSON
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Runtime
import TestSupport
import Testing

@testable import GatewayHTTP

/// How bytes become requests and answers become bytes: in every piece that a network may make of them.
@Suite(.timeLimit(.minutes(5)))
struct ExchangeTests {
    private static func agent(_ tenant: TestTenant, _ name: String, framing: String) -> (head: String, body: String) {
        let body = #"{"name":"\#(name)","config":\#(Config.text(name, steps: [Config.says]))}"#
        let head = "POST /api/agents HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(tenant.key)\r\nContent-Type: application/json\r\n"
        return (head + framing.replacing("LENGTH", with: String(body.utf8.count)) + "\r\n\r\n", body)
    }

    @Test func `a body counts the same in one piece, byte by byte, and in chunks`() async throws {
        let tenant = try await TestTenant.make()
        try await RawConnection.open(tenant.gateway) { connection in
            let whole = Self.agent(tenant, "whole", framing: "Content-Length: LENGTH")
            try await connection.send(whole.head + whole.body)
            #expect(try await connection.answer().status == 201)
            let pieces = Self.agent(tenant, "pieces", framing: "Content-Length: LENGTH")
            for byte in (pieces.head + pieces.body).utf8 { try await connection.send([byte]) }
            #expect(try await connection.answer().status == 201)
            let chunks = Self.agent(tenant, "chunks", framing: "Transfer-Encoding: chunked")
            try await connection.send(chunks.head)
            for byte in chunks.body.utf8 { try await connection.send("1\r\n\(Character(Unicode.Scalar(byte)))\r\n") }
            try await connection.send("0\r\n\r\n")
            #expect(try await connection.answer().status == 201)
        }
        #expect(Set(try await tenant.send("GET", "/api/agents").data().compactMap { $0["name"]?.string }) == ["whole", "pieces", "chunks"])
    }

    @Test func `requests sent without awaiting the answers are answered one by one, also those with bodies`() async throws {
        let tenant = try await TestTenant.make()
        try await RawConnection.open(tenant.gateway) { connection in
            let post = Self.agent(tenant, "piped", framing: "Content-Length: LENGTH")
            let last = Self.agent(tenant, "last", framing: "Content-Length: LENGTH")
            let get = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
            try await connection.send(post.head + post.body + String(repeating: get, count: 400) + last.head + last.body + get)
            #expect(try await connection.answer().status == 201)
            for _ in 0..<400 { #expect(try await connection.answer().status == 200) }
            #expect(try await connection.answer().status == 201)
            #expect(try await connection.answer().status == 200)
        }
    }

    @Test func `a target may be a whole URL`() async throws {
        let tenant = try await TestTenant.make()
        try await RawConnection.open(tenant.gateway) { connection in
            try await connection.send("GET http://gateway.example/health HTTP/1.1\r\nHost: gateway.example\r\n\r\n")
            #expect(try await connection.answer().status == 200)
        }
    }

    @Test func `whoever closes its side after asking is answered`() async throws {
        let tenant = try await TestTenant.make()
        try await RawConnection.open(tenant.gateway) { connection in
            try await connection.send("GET /api/agents HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(tenant.key)\r\n\r\n")
            connection.finish()
            #expect(try await connection.answer().status == 200)
            while try await connection.receive() {}
        }
    }

    @Test func `an answer before the body's end ends the connection, and arrives`() async throws {
        let tenant = try await TestTenant.make()
        try await RawConnection.open(tenant.gateway) { connection in
            try await connection.send(
                "POST /api/agents HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer nonsense\r\nContent-Type: application/json\r\nContent-Length: 900000\r\n\r\n{"
            )
            let answer = try await connection.answer()
            try answer.expectProblem(401, "unauthorized")
            #expect(answer.header("connection") == "close")
            while try await connection.receive() {}
        }
    }

    @Test func `a body that is broken in the read of its head is refused, with one line in the log`() async throws {
        let log = RecordedLog()
        let gateway = try await TestGateway.running(in: try await .fresh(), logger: log.makeLogger())
        let tenant = try await TestTenant.make(on: gateway)
        try await RawConnection.open(gateway) { connection in
            try await connection.send(
                "POST /api/agents HTTP/1.1\r\nHost: a\r\nX-Request-Id: broken\r\nAuthorization: Bearer \(tenant.key)\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n"
            )
            try await connection.answer().expectProblem(400, "malformed_request")
            while try await connection.receive() {}
        }
        #expect(await eventually { log.lines("request").contains { $0.metadata["requestId"] == "broken" } })
        #expect(log.lines("request").filter { $0.metadata["requestId"] == "broken" }.map { $0.metadata["status"] } == ["400"])
    }

    @Test func `every answer says when it was made, once, and what has no body has no length`() async throws {
        let tenant = try await TestTenant.make()
        let agent = try await tenant.agent(steps: [Config.says]).agentId
        let (made, gone, missing) = (
            try await tenant.send("GET", "/api/agents/\(agent)"), try await tenant.send("DELETE", "/api/agents/\(agent)"),
            try await tenant.send("GET", "/api/agents/\(unknownID())")
        )
        for answer in [made, gone, missing] {
            #expect(answer.headers["date"].count == 1)
            let date = try #require(answer.header("date"))
            #expect(date.wholeMatch(of: /(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT/) != nil, "\(date)")
        }
        #expect(gone.status == 204 && gone.header("content-length") == nil)
        #expect(made.header("content-length") == String(made.bytes.count))
    }

    @Test func `HTTP 1.0 is answered, and its connection closed`() async throws {
        let tenant = try await TestTenant.make()
        try await RawConnection.open(tenant.gateway) { connection in
            try await connection.send("GET /health HTTP/1.0\r\n\r\n")
            let answer = try await connection.answer()
            #expect(answer.status == 200 && answer.header("connection") == "close")
            while try await connection.receive() {}
        }
    }

    @Test(arguments: [
        "GET /health HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    ])
    func `what follows a request for another protocol is thrown away, and its connection ends`(request: String) async throws {
        try await RawConnection.open(try await TestGateway.shared.value) { connection in
            try await connection.send(request)
            let (status, headers) = try await connection.head()
            #expect(status == 200 || status == 404 || status == 405)
            #expect(headers.first(name: "connection") == "close")
            // Nobody takes it, and nobody keeps it.
            try? await connection.send([UInt8](repeating: UInt8(ascii: "x"), count: 1 << 20))
            while try await connection.receive() {}
        }
    }

    @Test func `a refusal is not taken for the answer to the request before it`() async throws {
        let tenant = try await TestTenant.make()
        try await RawConnection.open(tenant.gateway) { connection in
            let post = Self.agent(tenant, "before", framing: "Content-Length: LENGTH")
            let long = String(repeating: "a", count: Limits.maxURIBytes)
            try await connection.send(post.head + post.body + "GET /\(long) HTTP/1.1\r\nHost: a\r\n\r\n")
            let answer = try await connection.answer()
            #expect(answer.status == 201 && answer.header("connection") == "close")
            while try await connection.receive() {}
            #expect(connection.available == 0)
        }
    }

    @Test func `a request that is whole is carried out though the one behind it is not`() async throws {
        let tenant = try await TestTenant.make()
        try await RawConnection.open(tenant.gateway) { connection in
            let post = Self.agent(tenant, "middle", framing: "Content-Length: LENGTH")
            let half = Self.agent(tenant, "half", framing: "Content-Length: LENGTH")
            try await connection.send("GET /health HTTP/1.1\r\nHost: a\r\n\r\n" + post.head + post.body + half.head + half.body.prefix(20))
            #expect(try await connection.answer().status == 200)
            let answer = try await connection.answer()
            #expect(answer.status == 201 && answer.header("connection") == nil)
            try await connection.send(String(half.body.dropFirst(20)))
            #expect(try await connection.answer().status == 201)
        }
    }

    @Test func `a large answer arrives whole, also where its connection ends with it`() async throws {
        let gateway = try await TestGateway.shared.value
        for ending in ["", "Connection: close\r\n"] {
            try await RawConnection.open(gateway, receiveBuffer: 4096) { connection in
                try await connection.send("GET /openapi.yaml HTTP/1.1\r\nHost: a\r\n\(ending)\r\n")
                if ending.isEmpty { connection.finish() }
                let (status, headers) = try await connection.head()
                let length = try #require(headers.first(name: "content-length").flatMap { Int($0) })
                #expect(status == 200 && length > 100_000)
                #expect(try await connection.take(length).count == length)
                while try await connection.receive() {}
            }
        }
    }

    // MARK: Reading is held back

    /// Counts what the handlers above ask for.
    private final class ReadCounter: ChannelOutboundHandler {
        typealias OutboundIn = HTTPServerResponsePart
        private(set) var count = 0
        func read(context: ChannelHandlerContext) {
            count += 1
            context.read()
        }
    }

    private static func channel() throws -> (EmbeddedChannel, ReadCounter, ExchangeHandler) {
        let channel = EmbeddedChannel()
        let counter = ReadCounter()
        let edge = ConnectionEdge(
            times: ConnectionTimes(), security: SecurityHeaders(isTLS: false),
            refusals: RefusalLog(metrics: MetricsRegistry(), logger: RecordedLog().makeLogger()),
            shares: AddressShares(most: 1, proxies: TrustedProxies()), loops: LoopExecutors(channel.eventLoop), certificates: nil)
        let exchange = ExchangeHandler(channel: channel, connection: ConnectionGuard(edge), isSecure: false)
        try channel.pipeline.syncOperations.addHandlers([counter, exchange])
        return (channel, counter, exchange)
    }

    @Test func `a body that nobody takes is not read on, and is when it is taken`() async throws {
        let (channel, counter, exchange) = try Self.channel()
        func arrives(_ part: HTTPServerRequestPart) throws {
            channel.pipeline.fireChannelRead(part)
            channel.pipeline.fireChannelReadComplete()
            channel.pipeline.read()
        }
        // As NIO's upgrade handler replays the first head.
        channel.pipeline.fireChannelReadComplete()
        try arrives(.head(HTTPRequestHead(version: .http1_1, method: .POST, uri: "/a")))
        #expect(counter.count == 0, "a request that waits for its turn holds reading back")
        let request = try #require(await exchange.next())
        #expect(counter.count == 1)
        for _ in 0..<3 { try arrives(.body(ByteBuffer(string: "part"))) }
        #expect(counter.count == 4)
        for _ in 0..<3 { try arrives(.body(ByteBuffer(string: "part"))) }
        #expect(counter.count == 4, "four pieces are held, and no more is asked for")
        var parts = request.body.makeAsyncIterator()
        for _ in 0..<6 { #expect(try await parts.next() == ByteBuffer(string: "part")) }
        channel.embeddedEventLoop.run()
        #expect(counter.count == 5, "what was held back is asked for")
        try arrives(.end(nil))
        #expect(try await parts.next() == nil)
        try arrives(.head(HTTPRequestHead(version: .http1_1, method: .GET, uri: "/b")))
        try arrives(.end(nil))
        let count = counter.count
        #expect(await exchange.next()?.uri.path == "/b")
        #expect(counter.count == count + 1)
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(await exchange.next() == nil)
        _ = try? channel.finish(acceptAlreadyClosed: true)
    }
}
