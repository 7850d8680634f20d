import NIOCore
import NIOPosix
import NIOSSL

/// Opens the channel: TCP or unix socket. TLS is the caller's next step, in the pipeline.
struct Connector {
    let configuration: RedisConfiguration
    let eventLoop: any EventLoop

    func open() -> EventLoopFuture<any Channel> {
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(.milliseconds(Int64(max(1, configuration.connectTimeoutMilliseconds))))
            .channelOption(
                .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 4096, initial: 16_384, maximum: 262_144))
        switch configuration.endpoint {
        case .unixSocket(let path): return bootstrap.connect(unixDomainSocketPath: path)
        case .host(let host, let port):
            return
                bootstrap
                .channelOption(.socketOption(.so_keepalive), value: 1)
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .connect(host: host, port: port)
        }
    }

    /// nil without TLS. The trust file is read at each connect, so that a renewed one is seen.
    func tlsHandler() throws(RedisError) -> NIOSSLClientHandler? {
        guard configuration.usesTLS, case .host(let host, _) = configuration.endpoint else { return nil }
        do {
            var tls = TLSConfiguration.makeClientConfiguration()
            tls.certificateVerification = .fullVerification
            tls.minimumTLSVersion = .tlsv12
            if let file = configuration.tlsCertificateFile { tls.trustRoots = .file(file) }
            let context = try NIOSSLContext(configuration: tls)
            // An address cannot be the name asked for (RFC 6066); NIOSSL then checks it against the certificate's IP addresses.
            let isAddress = (try? SocketAddress(ipAddress: host, port: 0)) != nil
            return try NIOSSLClientHandler(context: context, serverHostname: isAddress ? nil : host)
        } catch {
            let file = configuration.tlsCertificateFile.map { " (trust roots: \($0))" } ?? ""
            throw RedisError(code: .configuration, message: "TLS cannot be set up\(file): \(error)")
        }
    }
}
