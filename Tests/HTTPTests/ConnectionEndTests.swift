import HTTPTypes
import Hummingbird
import NIOCore
import NIOSSL
import Runtime
import ServiceLifecycle
import Synchronization
import TestSupport
import Testing

@testable import GatewayHTTP

/// How connections end that have something under way when the gateway does.
@Suite(.timeLimit(.minutes(5)))
struct ConnectionEndTests {
    /// More than the sockets between a server and a client that does not read will take.
    private static let length = 64 << 20

    /// The whole answer is given to the connection at once: its request is over before it is out.
    private struct Large: OpenOperation {
        init(gateway: Gateway) {}
        func handle(_ request: Request, _ context: OpenContext) async throws -> Response {
            Response(status: .ok, body: ResponseBody(byteBuffer: ByteBuffer(repeating: 0x78, count: length)))
        }
    }

    /// Its request is under way until the last part is out.
    private struct InParts: OpenOperation {
        init(gateway: Gateway) {}
        func handle(_ request: Request, _ context: OpenContext) async throws -> Response {
            Response(
                status: .ok,
                body: ResponseBody(contentLength: length) { writer in
                    let part = ByteBuffer(repeating: 0x78, count: 1 << 20)
                    for _ in 0..<(length >> 20) { try await writer.write(part) }
                    try await writer.finish(nil)
                })
        }
    }

    /// Waits until it is told to stop waiting, and says that it was.
    private struct Waiting: OpenOperation {
        static let (begun, begin) = AsyncStream.makeStream(of: Void.self)
        static let wasCanceled = Mutex(false)
        init(gateway: Gateway) {}
        func handle(_ request: Request, _ context: OpenContext) async throws -> Response {
            Self.begin.yield()
            let (never, keep) = AsyncStream.makeStream(of: Void.self)
            for await _ in never {}
            withExtendedLifetime(keep) {}
            Self.wasCanceled.withLock { $0 = Task.isCancelled }
            return Response(status: .ok, body: ResponseBody(byteBuffer: ByteBuffer(string: "stopped")))
        }
    }

    private static let routes = [
        Route(open: .get, "/large", "getLarge", Large.self), Route(open: .get, "/parts", "getInParts", InParts.self),
        Route(open: .get, "/waiting", "getWaiting", Waiting.self),
    ]

    @Test(arguments: ["/large", "/parts"])
    func `a client that does not take its last answer does not hold up a shutdown`(_ path: String) async throws {
        var listener = ListenerConfiguration()
        // Nothing but the shutdown's own grace ends it.
        listener.times.stall = .hours(1)
        listener.times.linger = .hours(1)
        listener.times.idle = .hours(1)
        listener.times.shutdown = .milliseconds(500)
        let gateway = try await TestGateway.running(in: try await .fresh(), listener: listener, routes: Self.routes)
        try await RawConnection.open(gateway) { connection in
            try await connection.send("GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try await connection.take(12) == Array("HTTP/1.1 200".utf8))
            let start = ContinuousClock.now
            await gateway.services.triggerGracefulShutdown()
            // The suite's time limit fails what would wait for the client.
            try await gateway.life.value
            #expect(ContinuousClock.now - start >= .milliseconds(400), "it had its grace")
            var taken = 0
            while try await connection.receive() { taken += try await connection.take(connection.available).count }
            #expect(taken < Self.length, "the rest was let go of")
        }
    }

    @Test func `a client that takes its last answer within the grace has all of it`() async throws {
        var listener = ListenerConfiguration()
        listener.times.shutdown = .hours(1)
        let gateway = try await TestGateway.running(in: try await .fresh(), listener: listener, routes: Self.routes)
        try await RawConnection.open(gateway) { connection in
            try await connection.send("GET /parts HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(try await connection.take(12) == Array("HTTP/1.1 200".utf8))
            await gateway.services.triggerGracefulShutdown()
            var taken = 12
            while try await connection.receive() { taken += try await connection.take(connection.available).count }
            #expect(taken > Self.length)
        }
        try await gateway.life.value
    }

    @Test func `a server that is stopped without grace cancels the handler under way, and closes its connection, over TLS`() async throws {
        let certificate = try Certificate.make()
        var listener = ListenerConfiguration(certificates: try CertificateStore(certificate.files, logger: RecordedLog().makeLogger()))
        listener.times.idle = .hours(1)
        listener.times.shutdown = .hours(1)
        let gateway = try await TestGateway.running(in: try await .fresh(), listener: listener, routes: Self.routes)
        try await RawConnection.open(gateway, tls: try NIOSSLContext(configuration: try certificate.trust())) { connection in
            try await connection.send("GET /waiting HTTP/1.1\r\nHost: a\r\n\r\n")
            for await _ in Waiting.begun { break }
            gateway.life.cancel()
            // Whatever it is told: the connection ends, and no next request is waited for.
            while try await connection.receive() {}
        }
        _ = try? await gateway.life.value
        #expect(Waiting.wasCanceled.withLock { $0 })
    }
}
