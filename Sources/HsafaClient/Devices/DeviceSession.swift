import JSON
import NIOCore
import NIOWebSocket
import Synchronization

/// One socket from challenge to close.
final class DeviceSession: Sendable {
    private struct State {
        var hasAnsweredChallenge = false
        var heartbeat: Duration?
        var lastReceived = ContinuousClock.now
        /// What the gateway said before it closed.
        var lastError: String?
        var mayRetry = false
    }

    private let connection: DeviceConnection
    private let socket: WebSocketDial.Socket
    private let state = Mutex(State())

    init(connection: DeviceConnection, socket: WebSocketDial.Socket) {
        self.connection = connection
        self.socket = socket
    }

    /// Why it ended.
    func run() async -> DeviceConnectionError {
        do {
            return try await socket.executeThenClose { inbound, outbound in
                let writer = WebSocketWriter(outbound: outbound, onTraffic: self.connection.options.onTraffic)
                let end = await withTaskGroup(of: DeviceConnectionError.self) { group in
                    group.addTask { await self.read(inbound, writer) }
                    group.addTask { await self.watch(writer) }
                    let first = await group.next()
                    group.cancelAll()
                    return first ?? .closed(code: nil, reason: "")
                }
                self.connection.setLink(nil)
                try? await self.socket.channel.writeAndFlush(WebSocketWriter.closeFrame(.normalClosure)).get()
                return end
            }
        } catch {
            return .closed(code: nil, reason: "\(error)")
        }
    }

    // MARK: Reading

    private func read(_ inbound: NIOAsyncChannelInboundStream<WebSocketFrame>, _ writer: WebSocketWriter) async -> DeviceConnectionError {
        do {
            for try await frame in inbound {
                state.withLock { $0.lastReceived = .now }
                switch frame.opcode {
                case .text: try await receive(Array(frame.unmaskedData.readableBytesView), writer)
                case .ping: try await writer.pong(frame.unmaskedData)
                case .connectionClose: return closed(frame.unmaskedData)
                case .binary: return .protocolViolation("a binary frame")
                default: break
                }
            }
            return .closed(code: nil, reason: state.withLock { $0.lastError } ?? "the connection ended")
        } catch let error as DeviceConnectionError {
            return error
        } catch {
            return .closed(code: nil, reason: state.withLock { $0.lastError } ?? "\(error)")
        }
    }

    private func closed(_ data: ByteBuffer) -> DeviceConnectionError {
        var data = data
        let code = data.readInteger(as: UInt16.self).map(Int.init)
        switch code {
        case 4403: return .revoked
        case 4409: return .takenOver
        case 4401 where !state.withLock({ $0.mayRetry }):
            return .refused(code: "unauthorized", message: state.withLock { $0.lastError } ?? "it does not know this device or its key")
        default:
            let reason = String(buffer: data)
            return .closed(code: code, reason: reason.isEmpty ? state.withLock { $0.lastError } ?? "" : reason)
        }
    }

    private func receive(_ bytes: [UInt8], _ writer: WebSocketWriter) async throws {
        connection.options.onTraffic?(.frame(bytes, isFromDevice: false))
        let message: JSONNode
        do { message = try JSONDocument(parsing: bytes).root } catch {
            throw DeviceConnectionError.protocolViolation("a frame that is not JSON: \(error)")
        }
        switch message["type"]?.string {
        case "device.challenge": try await answer(challenge: message, writer)
        case "device.registered": try await registered(message, writer)
        case "tool.call.request": try await request(message)
        case "tool.result.ack": await acknowledge(message)
        case "tool.call.cancel": cancel(message)
        case "ping": try await writer.text(DeviceFrame.pong(ts: message["ts"]?.string))
        case "error": try failed(message)
        case nil: throw DeviceConnectionError.protocolViolation("a frame without “type”")
        default: break  // pong, and what a newer gateway may say
        }
    }

    private func answer(challenge: JSONNode, _ writer: WebSocketWriter) async throws {
        guard let nonce = challenge["nonce"]?.string, let ts = challenge["ts"]?.string, let audience = challenge["audience"]?.string else {
            throw DeviceConnectionError.protocolViolation("a challenge without nonce, ts or audience")
        }
        let identity = connection.identity
        guard audience == identity.audience else { throw DeviceConnectionError.wrongAudience(expected: identity.audience, got: audience) }
        // One signature a connection.
        guard
            state.withLock({ state in
                defer { state.hasAnsweredChallenge = true }
                return !state.hasAnsweredChallenge
            })
        else { throw DeviceConnectionError.protocolViolation("a second challenge") }
        let signature: String
        do { signature = try identity.key.connectSignature(audience: audience, deviceId: identity.deviceId, nonce: nonce, ts: ts) } catch {
            throw DeviceConnectionError.refused(code: "signature_failed", message: "The device's key cannot sign: \(error)")
        }
        try await writer.text(DeviceFrame.register(deviceId: identity.deviceId, signature: signature, tools: connection.tools))
    }

    private func registered(_ message: JSONNode, _ writer: WebSocketWriter) async throws {
        let seconds = min(max(message["heartbeatSeconds"]?.int ?? 20, 1), 300)
        state.withLock { $0.heartbeat = .seconds(seconds) }
        connection.setLink(DeviceLink(writer: writer, maxFrameBytes: message["maxFrameBytes"]?.int ?? 1 << 20))
        connection.onNotice(.registered(sessionId: message["sessionId"]?.string ?? "?"))
        await connection.sendAgain(olderThan: .zero)
    }

    private func request(_ message: JSONNode) async throws {
        guard let callId = message["callId"]?.string, let name = message["tool"]?.string else {
            throw DeviceConnectionError.protocolViolation("a tool.call.request without callId or tool")
        }
        let call = DeviceToolCall(
            runId: message["runId"]?.string ?? "", callId: callId, name: name, args: message["args"]?.rawJSON ?? .emptyObject,
            deadline: message["deadline"]?.string, attempt: message["attempt"]?.int ?? 1)
        if let known = await connection.outcomes.outcome(of: callId) {
            connection.onNotice(.callRepeated(call))
            return await connection.send(callId, known)
        }
        switch connection.desk.submit(call) {
        case .accepted, .known: break
        case .full:
            let refusal = ToolOutcome.error(
                code: "device_busy", message: "The device has \(connection.options.maxCalls) calls at hand already.")
            await connection.send(callId, await connection.store(callId, refusal))
        }
    }

    private func acknowledge(_ message: JSONNode) async {
        guard let callId = message["callId"]?.string else { return }
        await connection.outcomes.acknowledge(callId)
        connection.onNotice(.acknowledged(callId: callId, applied: message["applied"]?.bool ?? true))
    }

    private func cancel(_ message: JSONNode) {
        guard let callId = message["callId"]?.string else { return }
        let reason = message["reason"]?.string ?? "canceled"
        if connection.desk.cancel(callId, reason: reason) { connection.onNotice(.callCanceled(callId: callId, reason: reason)) }
    }

    private func failed(_ message: JSONNode) throws(DeviceConnectionError) {
        let code = message["code"]?.string ?? "unknown"
        let text = message["message"]?.string ?? "no message"
        let isRegistered = state.withLock { state in
            state.lastError = "\(text) (\(code))"
            state.mayRetry = message["retryable"]?.bool == true
            return state.heartbeat != nil
        }
        guard isRegistered || message["retryable"]?.bool != false else { throw .refused(code: code, message: text) }
        connection.onNotice(.warning("The gateway says: \(text) (\(code))"))
    }

    // MARK: Watching

    /// Pings, sends again what nobody acknowledged, and ends a connection that has gone silent.
    private func watch(_ writer: WebSocketWriter) async -> DeviceConnectionError {
        let opened = ContinuousClock.now
        do {
            while true {
                let (heartbeat, lastReceived) = state.withLock { ($0.heartbeat, $0.lastReceived) }
                guard let heartbeat else {
                    if ContinuousClock.now - opened > .seconds(connection.options.registrationTimeoutSeconds) {
                        return .closed(code: nil, reason: "the gateway did not register this device in time")
                    }
                    try await Task.sleep(for: .milliseconds(250))
                    continue
                }
                // Two missed heartbeats, and half of one for the way.
                if ContinuousClock.now - lastReceived > heartbeat * 5 / 2 {
                    return .closed(code: nil, reason: "no sign of life for \(ContinuousClock.now - lastReceived)")
                }
                try await writer.text(DeviceFrame.ping())
                await connection.sendAgain(olderThan: .seconds(10))
                try await Task.sleep(for: heartbeat)
            }
        } catch {
            return .closed(code: nil, reason: "\(error)")
        }
    }
}
