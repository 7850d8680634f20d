import Domain
import NIOCore
import NIOPosix
import NIOSSL
import Runtime
import TestSupport
import Testing

@testable import GatewayHTTP

/// No client address has all the connections that a gateway takes.
@Suite(.timeLimit(.minutes(5)))
struct AddressShareTests {
    private func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

    @Test func `each address has its share, a network of IPv6 has one, and a proxy is not counted`() throws {
        let proxies = TrustedProxies(try [#require(AddressBlock("10.0.0.0/8"))])
        let shares = AddressShares(most: 2, proxies: proxies)
        let first = try address("192.0.2.1")
        for _ in 0..<2 { #expect(shares.enter(first) == .counted(first)) }
        #expect(shares.enter(first) == .refused)
        #expect(try shares.enter(address("::ffff:192.0.2.1")) == .refused)
        #expect(try shares.enter(address("192.0.2.2")) == .counted(address("192.0.2.2")))
        for number in 1...2 { #expect(try shares.enter(address("2001:db8::\(number)")) == .counted(address("2001:db8::"))) }
        #expect(try shares.enter(address("2001:db8::ffff:1")) == .refused)
        #expect(try shares.enter(address("2001:db8:0:1::1")) != .refused)
        for _ in 0..<10 {
            #expect(try shares.enter(address("10.1.2.3")) == .uncounted)
            #expect(shares.enter(nil) == .uncounted)
        }
        shares.leave(first)
        #expect(shares.count(first) == 1)
        #expect(shares.enter(first) == .counted(first))
        for _ in 0..<2 { shares.leave(first) }
        #expect(shares.count(first) == 0)
    }

    private let question = "GET /health HTTP/1.1\r\nHost: a\r\n\r\n"

    /// Whether a connection of its own is answered, rather than closed.
    private func isServed(_ gateway: TestGateway, host: String = "127.0.0.1", tls: NIOSSLContext? = nil) async throws -> Bool {
        try await RawConnection.open(gateway, host: host, tls: tls) { connection in
            do {
                try await connection.send(question)
                return try await connection.answer().status == 200
            } catch { return false }
        }
    }

    private func expectAnswer(_ connection: RawConnection) async throws {
        try await connection.send(question)
        #expect(try await connection.answer().status == 200)
    }

    private func gateway(
        _ most: Int, proxies: [String] = [], host: String = "127.0.0.1", certificates: CertificateStore? = nil
    ) async throws -> TestGateway {
        // Connections that are held are not to end by themselves.
        var times = ConnectionTimes()
        times.idle = .hours(1)
        times.head = .hours(1)
        times.handshake = .hours(1)
        let listener = ListenerConfiguration(certificates: certificates, times: times, maxConnectionsPerAddress: most)
        return try await TestGateway.running(in: try await .start(), listener: listener) {
            $0.trustedProxies = TrustedProxies(proxies.compactMap { AddressBlock($0) })
            $0.host = host
        }
    }

    @Test func `the connection beyond the share is closed, those that are open go on, and one that ends makes room`() async throws {
        let gateway = try await gateway(2)
        try await RawConnection.open(gateway) { first in
            try await first.send(question)
            #expect(try await first.answer().status == 200)
            try await RawConnection.open(gateway) { second in
                try await second.send(question)
                #expect(try await second.answer().status == 200)
                for _ in 0..<30 { #expect(try await !isServed(gateway)) }
                #expect(gateway.metric("hsafa_connections_refused_total") >= 30)
                for connection in [first, second] {
                    try await connection.send(question)
                    #expect(try await connection.answer().status == 200)
                }
            }
            #expect(try await eventually { try await isServed(gateway) })
        }
        #expect(await eventually { gateway.metric("hsafa_connection_addresses") == 0 })
    }

    @Test func `a trusted proxy brings as many clients as it likes`() async throws {
        let gateway = try await gateway(1, proxies: ["127.0.0.0/8"])
        try await RawConnection.open(gateway) { first in
            try await first.send(question)
            #expect(try await first.answer().status == 200)
            for _ in 0..<5 { #expect(try await isServed(gateway)) }
        }
    }

    @Test func `over TLS the connection beyond the share is closed before its handshake, and a handshake that never comes has a place`()
        async throws
    {
        let certificate = try Certificate.make()
        let gateway = try await gateway(
            2, certificates: try CertificateStore(certificate.files, logger: try await TestEnvironment.start().logger))
        let tls = try NIOSSLContext(configuration: certificate.trust())
        try await RawConnection.open(gateway, tls: tls) { first in
            try await expectAnswer(first)
            // This one says nothing at all, and counts like any other.
            try await RawConnection.open(gateway) { silent in
                #expect(await eventually { (try? await isServed(gateway, tls: tls)) != true })
                for _ in 0..<10 {
                    // Not a byte comes: neither of a handshake nor of an alert.
                    try await RawConnection.open(gateway) { beyond in
                        let isMore = try await beyond.receive()
                        #expect(!isMore && beyond.available == 0)
                    }
                }
                try await expectAnswer(first)
                #expect(silent.available == 0)
            }
            #expect(await eventually { (try? await isServed(gateway, tls: tls)) == true })
        }
        #expect(await eventually { gateway.metric("hsafa_connection_addresses") == 0 })
    }

    private static let hasIPv6 = (try? SocketAddress.makeAddressResolvingHost("::1", port: 0)).map(isLocal) ?? false

    /// Whether this machine has the address.
    private static func isLocal(_ address: SocketAddress) -> Bool {
        let group = MultiThreadedEventLoopGroup.singleton
        guard let channel = try? ServerBootstrap(group: group).bind(to: address).wait() else { return false }
        channel.close(promise: nil)
        return true
    }

    @Test(.enabled(if: hasIPv6, "this machine has no IPv6"))
    func `over IPv6 the same holds, and who comes over IPv4 to the same listener has a share of his own`() async throws {
        let gateway = try await gateway(2, host: "::")
        try await RawConnection.open(gateway, host: "::1") { first in
            try await expectAnswer(first)
            try await RawConnection.open(gateway, host: "::1") { second in
                try await expectAnswer(second)
                for _ in 0..<5 { #expect(try await !isServed(gateway, host: "::1")) }
                // As ::ffff:127.0.0.1, which is an address of IPv4 and of no network of IPv6.
                try await RawConnection.open(gateway) { third in
                    try await expectAnswer(third)
                    #expect(gateway.metric("hsafa_connection_addresses") == 2)
                    #expect(try await isServed(gateway))
                    try await RawConnection.open(gateway) { fourth in
                        try await expectAnswer(fourth)
                        #expect(try await !isServed(gateway))
                    }
                }
                for connection in [first, second] { try await expectAnswer(connection) }
            }
            #expect(try await eventually { try await isServed(gateway, host: "::1") })
        }
        #expect(await eventually { gateway.metric("hsafa_connection_addresses") == 0 })
    }
}
