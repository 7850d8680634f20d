import Domain
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import NIOSSL
import NIOWebSocket
import Runtime

/// What every connection of a listener shares.
struct ConnectionEdge: Sendable {
    let times: ConnectionTimes
    let security: SecurityHeaders
    let refusals: RefusalLog
    let shares: AddressShares
    /// nil: plain HTTP.
    let certificates: CertificateStore?
}

/// A client's connection: HTTP/1.1 through Hummingbird's responder, or a device's WebSocket.
struct GatewayChannel: ServerChildChannel, HTTPChannelHandler {
    typealias HTTPChannel = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>
    typealias SocketChannel = NIOAsyncChannel<DeviceInput, WebSocketMessage>

    enum Connection: Sendable {
        case http(HTTPChannel)
        case socket(SocketChannel)
    }

    struct Value: ServerChildChannelValue {
        let connection: EventLoopFuture<Connection>
        let channel: any Channel
    }

    let responder: HTTPChannelHandler.Responder
    let hub: DeviceHub
    let edge: ConnectionEdge

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            let connection = ConnectionGuard(edge)
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandler(AddressGate(shares: edge.shares, refusals: edge.refusals))
            if let certificates = edge.certificates {
                try pipeline.addHandler(NIOSSLServerHandler(context: certificates.context))
                try pipeline.addHandler(HandshakeWatch(time: edge.times.handshake, refusals: edge.refusals))
            }
            try pipeline.addHandler(FirstByteWatch(connection))
            var configuration = NIOUpgradableHTTPServerPipelineConfiguration(
                upgradeConfiguration: NIOTypedHTTPServerUpgradeConfiguration<Connection>(upgraders: [DeviceUpgrade()]) { [edge] channel in
                    channel.eventLoop.makeCompletedFuture { try Self.http(channel, isSecure: edge.certificates != nil) }
                })
            // NIOAsyncChannel takes one request at a time; the guard answers what is malformed; HTTPFields are checked when made.
            configuration.enablePipelining = false
            configuration.enableErrorHandling = false
            configuration.enableResponseHeaderValidation = false
            configuration.decoderConfiguration.maxHeaderFieldSize = Limits.maxHeaderBytes
            configuration.decoderConfiguration.maxHeaderListSize = Limits.maxHeaderBytes
            configuration.decoderConfiguration.maxHeaderFieldCount = Limits.maxHeaderFields
            let future = try pipeline.configureUpgradableHTTPServerPipeline(configuration: configuration)
            let upgradeHandler = try pipeline.handler(type: NIOTypedHTTPServerUpgradeHandler<Connection>.self)
            try pipeline.addHandler(connection, position: .before(upgradeHandler))
            return Value(connection: future, channel: channel)
        }
    }

    private static func http(_ channel: any Channel, isSecure: Bool) throws -> Connection {
        try channel.pipeline.syncOperations.addHandler(HTTP1ToHTTPServerCodec(secure: isSecure))
        return .http(try HTTPChannel(wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true)))
    }

    func handle(value: Value, logger: Logger) async {
        // Each request's task lives on the loop of its connection.
        await withTaskExecutorPreference(LoopExecutor(value.channel.eventLoop)) { await handleOnLoop(value, logger) }
    }

    private func handleOnLoop(_ value: Value, _ logger: Logger) async {
        do {
            switch try await value.connection.get() {
            case .http(let channel): await handleHTTP(asyncChannel: channel, logger: logger)
            case .socket(let channel): try await serve(channel)
            }
        } catch {
            // The peer left before its first request, or in the middle of a handshake.
            try? await value.channel.close()
        }
    }

    private func serve(_ channel: SocketChannel) async throws {
        try await channel.executeThenClose { inbound, outbound in
            await hub.serve(DeviceSocket(channel: channel.channel, outbound: outbound), frames: inbound)
            // The hub is done with it; where it did not close, this does. The codec bounds the wait for the peer.
            let farewell = WebSocketCloseRequest(code: 1000, reason: "")
            try? await channel.channel.triggerUserOutboundEvent(farewell).get()
            try? await channel.channel.closeFuture.get()
        }
    }
}

/// The handshake's answer, and the pipeline after it. NIO makes the answer; its frame handlers, which cannot bound a message by what
/// has been agreed on so far, are not used.
private struct DeviceUpgrade: NIOTypedHTTPServerProtocolUpgrader {
    typealias UpgradeResult = GatewayChannel.Connection

    let supportedProtocol = "websocket"
    let requiredUpgradeHeaders: [String] = []
    private let handshake = NIOTypedWebSocketServerUpgrader<Void>(
        shouldUpgrade: { channel, _ in
            channel.eventLoop.makeSucceededFuture(["Sec-WebSocket-Protocol": DeviceHandshake.subprotocol])
        },
        upgradePipelineHandler: { channel, _ in channel.eventLoop.makeSucceededVoidFuture() })

    func buildUpgradeResponse(
        channel: any Channel, upgradeRequest: HTTPRequestHead, initialResponseHeaders: HTTPHeaders
    ) -> EventLoopFuture<HTTPHeaders> {
        handshake.buildUpgradeResponse(
            channel: channel, upgradeRequest: upgradeRequest, initialResponseHeaders: initialResponseHeaders)
    }

    func upgrade(channel: any Channel, upgradeRequest: HTTPRequestHead) -> EventLoopFuture<GatewayChannel.Connection> {
        channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            pipeline.removeHandler(try pipeline.handler(type: FirstByteWatch.self), promise: nil)
            pipeline.removeHandler(try pipeline.handler(type: ConnectionGuard.self), promise: nil)
            try pipeline.addHandler(WebSocketCodec())
            // A device that sends faster than it is served waits: few messages are held, each may be large.
            let inbound = NIOAsyncSequenceProducerBackPressureStrategies.HighLowWatermark(lowWatermark: 1, highWatermark: 4)
            return .socket(
                try GatewayChannel.SocketChannel(
                    wrappingChannelSynchronously: channel, configuration: .init(backPressureStrategy: inbound)))
        }
    }
}
