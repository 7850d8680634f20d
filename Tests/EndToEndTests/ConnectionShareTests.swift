import Glibc
import HsafaClient
import TestSupport
import Testing

/// What MAX_CONNECTIONS_PER_ADDRESS does to the real binary.
@Suite(.timeLimit(.minutes(5))) struct ConnectionShareTests {
    /// A connection to this machine, on which a question is asked at once. Closed with its last owner.
    private final class Connection {
        private let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)

        init(_ port: Int) throws {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
            address.sin_port = UInt16(port).bigEndian
            let isConnected = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
            try #require(isConnected)
            // A net: what never comes must not hang the suite.
            var patience = timeval(tv_sec: 120, tv_usec: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        }

        deinit { close(descriptor) }

        /// What comes first in answer to a request; nothing where the other side closes instead.
        func answer() -> String {
            let question = Array("GET /health HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
            guard send(descriptor, question, question.count, Int32(MSG_NOSIGNAL)) == question.count else { return "" }
            var bytes = [UInt8](repeating: 0, count: 4096)
            let count = recv(descriptor, &bytes, bytes.count, 0)
            return String(decoding: bytes[..<max(0, count)], as: UTF8.self)
        }
    }

    @Test func `an address has as many connections as the setting says, and one that ends makes room`() async throws {
        let gateway = try GatewayProcess(try await TestEnvironment.fresh(), settings: ["MAX_CONNECTIONS_PER_ADDRESS": "3"])
        try await gateway.start()
        func open() throws -> Connection? {
            let connection = try Connection(gateway.port)
            return connection.answer().hasPrefix("HTTP/1.1 200 ") ? connection : nil
        }
        var held: [Connection] = []
        for _ in 0..<3 {
            // The connection by which it was asked whether it serves may not have ended yet.
            let isOpen = try await eventually {
                if let connection = try open() { held.append(connection) } else { return false }
                return true
            }
            try #require(isOpen)
        }
        for _ in 0..<10 { #expect(try Connection(gateway.port).answer().isEmpty) }
        for connection in held { #expect(connection.answer().hasPrefix("HTTP/1.1 200 ")) }
        held.removeLast()
        #expect(try await eventually { try open() != nil })
        gateway.kill9()
    }
}
