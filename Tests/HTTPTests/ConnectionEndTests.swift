import HTTPTypes
import Hummingbird
import NIOCore
import NIOSSL
import Runtime
import Synchronization
import TestSupport
import Testing

@testable import GatewayHTTP

/// How connections end that have something under way when the gateway does.
@Suite(.timeLimit(.minutes(5)))
struct ConnectionEndTests {
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

    private static let routes = [Route(open: .get, "/waiting", "getWaiting", Waiting.self)]

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
