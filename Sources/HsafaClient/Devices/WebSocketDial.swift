import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import NIOWebSocket

/// Opens one WebSocket to `<gateway>/devices/connect`.
struct WebSocketDial: Sendable {
    typealias Socket = NIOAsyncChannel<WebSocketFrame, WebSocketFrame>

    static let subprotocol = "hsafa.device.v1"

    let host: String
    let port: Int
    let isTLS: Bool
    let path: String

    /// - Parameter gatewayURL: http, https, ws or wss; a path prefix is kept.
    init(gatewayURL: String) throws(DeviceConnectionError) {
        guard let separator = gatewayURL.firstRange(of: "://") else { throw .invalidURL(gatewayURL) }
        switch gatewayURL[..<separator.lowerBound].lowercased() {
        case "http", "ws": isTLS = false
        case "https", "wss": isTLS = true
        default: throw .invalidURL(gatewayURL)
        }
        let rest = gatewayURL[separator.upperBound...]
        let authority = rest.prefix { $0 != "/" }
        var prefix = rest[authority.endIndex...]
        guard !rest.contains(where: { $0 == "?" || $0 == "#" || $0 == " " || $0.isNewline }), !authority.contains("@") else {
            throw .invalidURL(gatewayURL)
        }
        while prefix.last == "/" { prefix.removeLast() }
        path = prefix + "/devices/connect"
        var hostText = authority
        var portText: Substring?
        if authority.first == "[" {
            guard let end = authority.firstIndex(of: "]") else { throw .invalidURL(gatewayURL) }
            hostText = authority[authority.index(after: authority.startIndex)..<end]
            let tail = authority[authority.index(after: end)...]
            guard tail.isEmpty || tail.first == ":" else { throw .invalidURL(gatewayURL) }
            portText = tail.isEmpty ? nil : tail.dropFirst()
        } else if let colon = authority.lastIndex(of: ":") {
            hostText = authority[..<colon]
            portText = authority[authority.index(after: colon)...]
        }
        let defaultPort: UInt16 = isTLS ? 443 : 80
        guard !hostText.isEmpty, let number = portText.map({ UInt16($0) }) ?? defaultPort else { throw .invalidURL(gatewayURL) }
        host = String(hostText)
        port = Int(number)
    }

    private enum Result: Sendable {
        case webSocket(Socket)
        case wrongSubprotocol
        case notUpgraded
    }

    func connect(
        group: any EventLoopGroup, maxMessageBytes: Int, timeoutSeconds: Int64, tls: TLSConfiguration
    ) async throws(DeviceConnectionError) -> Socket {
        do {
            let context = isTLS ? try NIOSSLContext(configuration: tls) : nil
            let negotiation = try await ClientBootstrap(group: group)
                .connectTimeout(.seconds(timeoutSeconds))
                .connect(host: host, port: port) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try self.configure(channel, context: context, maxMessageBytes: maxMessageBytes, timeoutSeconds: timeoutSeconds)
                    }
                }
            switch try await negotiation.get() {
            case .webSocket(let socket): return socket
            case .wrongSubprotocol: throw DeviceConnectionError.protocolViolation("it chose another subprotocol than \(Self.subprotocol)")
            case .notUpgraded: throw DeviceConnectionError.unreachable("\(host):\(port)\(path) does not answer as a WebSocket")
            }
        } catch let error as DeviceConnectionError {
            throw error
        } catch let error as NIOConnectionError {
            throw .unreachable("\(host):\(port): \(error.connectionErrors.first.map { "\($0.error)" } ?? "no address for this name")")
        } catch {
            throw .unreachable("\(host):\(port): \(error)")
        }
    }

    private func configure(
        _ channel: any Channel, context: NIOSSLContext?, maxMessageBytes: Int, timeoutSeconds: Int64
    ) throws -> EventLoopFuture<Result> {
        if let context {
            // An address is no name for SNI; the certificate is then checked against the address.
            let isAddress = (try? SocketAddress(ipAddress: host, port: 0)) != nil
            try channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: context, serverHostname: isAddress ? nil : host))
        }
        // Covers the TLS and HTTP handshakes: after the upgrade it is removed and the device's own watch begins.
        let deadline = HandshakeDeadline(seconds: timeoutSeconds)
        try channel.pipeline.syncOperations.addHandler(deadline)
        let upgrader = NIOTypedWebSocketClientUpgrader<Result>(maxFrameSize: maxMessageBytes) { channel, head in
            channel.eventLoop.makeCompletedFuture {
                if let chosen = head.headers.first(name: "Sec-WebSocket-Protocol"), chosen != Self.subprotocol { return .wrongSubprotocol }
                let pipeline = channel.pipeline.syncOperations
                pipeline.removeHandler(context: try pipeline.context(handlerType: HandshakeDeadline.self), promise: nil)
                try pipeline.addHandler(
                    NIOWebSocketFrameAggregator(
                        minNonFinalFragmentSize: 0, maxAccumulatedFrameCount: 1024, maxAccumulatedFrameSize: maxMessageBytes))
                return .webSocket(try Socket(wrappingChannelSynchronously: channel))
            }
        }
        let authority = (host.contains(":") ? "[\(host)]" : host) + (port == (isTLS ? 443 : 80) ? "" : ":\(port)")
        let head = HTTPRequestHead(
            version: .http1_1, method: .GET, uri: path,
            headers: ["Host": authority, "Content-Length": "0", "Sec-WebSocket-Protocol": Self.subprotocol])
        var configuration = NIOUpgradableHTTPClientPipelineConfiguration(
            upgradeConfiguration: NIOTypedHTTPClientUpgradeConfiguration(upgradeRequestHead: head, upgraders: [upgrader]) { channel in
                channel.close(promise: nil)
                return channel.eventLoop.makeSucceededFuture(.notUpgraded)
            })
        // The challenge often comes in the same segment as the 101; by default NIO would drop it.
        configuration.leftOverBytesStrategy = .forwardBytes
        return try channel.pipeline.syncOperations.configureUpgradableHTTPClientPipeline(configuration: configuration)
    }
}

/// Closes a channel whose handshakes take too long.
private final class HandshakeDeadline: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = NIOAny

    private let seconds: Int64
    private var timer: Scheduled<Void>?

    init(seconds: Int64) { self.seconds = seconds }

    func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        timer = context.eventLoop.scheduleTask(in: .seconds(seconds)) { channel.close(promise: nil) }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        timer = nil
    }
}
