import Domain
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOSSL
import NIOWebSocket
import Runtime

/// What every connection of a listener shares.
struct ConnectionEdge: Sendable {
    let times: ConnectionTimes
    let security: SecurityHeaders
    let refusals: RefusalLog
    let shares: AddressShares
    let loops: LoopExecutors
    let date = DateField()
    /// nil: plain HTTP.
    let certificates: CertificateStore?
}

/// What a connection has turned out to speak.
enum SpokenConnection: Sendable {
    typealias Socket = NIOAsyncChannel<DeviceInput, WebSocketMessage>

    case http(ExchangeHandler)
    case socket(Socket)
}

/// A client's connection: HTTP/1.1 answered by Hummingbird's router, or a device's WebSocket.
struct GatewayChannel<Responder: HTTPResponder>: ServerChildChannel where Responder.Context == OpenContext {
    struct Value: ServerChildChannelValue {
        let connection: EventLoopFuture<SpokenConnection>
        let channel: any Channel
    }

    let responder: Responder
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
                upgradeConfiguration: NIOTypedHTTPServerUpgradeConfiguration<SpokenConnection>(upgraders: [DeviceUpgrade()]) {
                    [edge] channel in
                    channel.eventLoop.makeCompletedFuture {
                        let pipeline = channel.pipeline.syncOperations
                        let exchange = ExchangeHandler(
                            channel: channel, connection: try pipeline.handler(type: ConnectionGuard.self),
                            isSecure: edge.certificates != nil)
                        try pipeline.addHandler(exchange)
                        return .http(exchange)
                    }
                })
            // The exchange takes one request at a time; the guard answers what is malformed; HTTPFields are checked when made.
            configuration.enablePipelining = false
            configuration.enableErrorHandling = false
            configuration.enableResponseHeaderValidation = false
            configuration.decoderConfiguration.maxHeaderFieldSize = Limits.maxHeaderBytes
            configuration.decoderConfiguration.maxHeaderListSize = Limits.maxHeaderBytes
            configuration.decoderConfiguration.maxHeaderFieldCount = Limits.maxHeaderFields
            let future = try pipeline.configureUpgradableHTTPServerPipeline(configuration: configuration)
            let upgradeHandler = try pipeline.handler(type: NIOTypedHTTPServerUpgradeHandler<SpokenConnection>.self)
            try pipeline.addHandler(connection, position: .before(upgradeHandler))
            return Value(connection: future, channel: channel)
        }
    }

    func handle(value: Value, logger: Logger) async {
        // Each request's task lives on the loop of its connection.
        await withTaskExecutorPreference(edge.loops.of(value.channel.eventLoop)) { await handleOnLoop(value, logger) }
    }

    private func handleOnLoop(_ value: Value, _ logger: Logger) async {
        do {
            switch try await value.connection.get() {
            case .http(let exchange): await answer(exchange, logger)
            case .socket(let channel): try await serve(channel)
            }
        } catch {
            // The peer left before its first request, or in the middle of a handshake.
            try? await value.channel.close()
        }
    }

    /// One request after the other, until none will come.
    private func answer(_ exchange: ExchangeHandler, _ logger: Logger) async {
        let channel = exchange.channel
        await withTaskCancellationHandler {
            var isWhole = true
            while isWhole, let request = await exchange.next() {
                isWhole = await answer(request, exchange, logger)
            }
            await exchange.finish(isWhole: isWhole)
            try? await channel.closeFuture.get()
        } onCancel: {
            channel.close(mode: .input, promise: nil)
            // TLS knows no closing of one side.
            exchange.stop()
        }
    }

    /// False when the answer could not be ended.
    private func answer(_ request: Request, _ exchange: ExchangeHandler, _ logger: Logger) async -> Bool {
        var response: Response
        do {
            var context = OpenContext(source: ApplicationRequestContextSource(channel: exchange.channel, logger: logger))
            context.peer = exchange.peer
            response = try await responder.respond(to: request, context: context)
        } catch is ConnectionAnswered {
            return true
        } catch {
            // `ErrorTranslator` makes answers of failures, so this is one of its own.
            logger.error("no answer was made", metadata: ["cause": "\(error)"])
            response = Problem(.internal(String(reflecting: error)), requestID: nil).response()
            if request.method == .head { response = response.createHeadResponse() }
        }
        let writer = AnswerWriter(exchange, response)
        do {
            try await response.body.write(writer)
            return writer.isFinished
        } catch {
            logger.debug("answer cut", metadata: ["cause": "\(error)"])
            return false
        }
    }

    private func serve(_ channel: SpokenConnection.Socket) async throws {
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
    typealias UpgradeResult = SpokenConnection

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

    func upgrade(channel: any Channel, upgradeRequest: HTTPRequestHead) -> EventLoopFuture<SpokenConnection> {
        channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            pipeline.removeHandler(try pipeline.handler(type: FirstByteWatch.self), promise: nil)
            pipeline.removeHandler(try pipeline.handler(type: ConnectionGuard.self), promise: nil)
            try pipeline.addHandler(WebSocketCodec())
            // A device that sends faster than it is served waits: few messages are held, each may be large.
            let inbound = NIOAsyncSequenceProducerBackPressureStrategies.HighLowWatermark(lowWatermark: 1, highWatermark: 4)
            return .socket(
                try SpokenConnection.Socket(
                    wrappingChannelSynchronously: channel, configuration: .init(backPressureStrategy: inbound)))
        }
    }
}
