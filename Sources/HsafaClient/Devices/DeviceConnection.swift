import JSON
public import NIOCore
public import NIOPosix
public import NIOSSL
import Synchronization

/// A device's side of `/devices/connect`: stays connected, carries out calls, and answers each call once and for all.
public final class DeviceConnection: Sendable {
    public struct Identity: Sendable {
        public let deviceId: String
        public let key: DeviceKey
        /// As enrolment told it; a challenge of any other gateway is not signed.
        public let audience: String

        public init(deviceId: String, key: DeviceKey, audience: String) {
            self.deviceId = deviceId
            self.key = key
            self.audience = audience
        }
    }

    public struct Options: Sendable {
        public var maxConcurrentCalls = 4
        /// Waiting and running together; a call beyond it gets the error `device_busy`.
        public var maxCalls = 256
        public var maxMessageBytes = 4 << 20
        public var connectTimeoutSeconds: Int64 = 10
        public var registrationTimeoutSeconds: Int64 = 15
        public var backOff = BackOff(initialMilliseconds: 500, maximumMilliseconds: 30_000)
        /// False: the first end of a connection ends `run()`.
        public var reconnects = true
        public var tls = TLSConfiguration.makeClientConfiguration()
        /// Hears of each message in both directions, as it was sent or came.
        public var onTraffic: (@Sendable (HsafaClient.Traffic) -> Void)?

        public init() {}
    }

    public enum Notice: Sendable {
        case registered(sessionId: String)
        case disconnected(DeviceConnectionError, retryIn: Duration)
        case callStarted(DeviceToolCall)
        case callFinished(DeviceToolCall, ToolOutcome)
        /// A call that was finished before, answered from the store.
        case callRepeated(DeviceToolCall)
        case callCanceled(callId: String, reason: String)
        case acknowledged(callId: String, applied: Bool)
        case warning(String)
    }

    let identity: Identity
    let tools: [DeviceTool]
    let outcomes: OutcomeStore
    let options: Options
    let onNotice: @Sendable (Notice) -> Void
    let desk: CallDesk
    private let gatewayURL: String
    private let group: any EventLoopGroup
    private let handler: @Sendable (DeviceToolCall) async -> ToolOutcome
    /// The registered session, if any: where outcomes go.
    private let link = Mutex<DeviceLink?>(nil)

    /// - Parameter handler: carries out one call; its task is canceled when the gateway cancels the call.
    public init(
        gatewayURL: String, identity: Identity, tools: [DeviceTool], outcomes: OutcomeStore, options: Options = .init(),
        eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        onNotice: @escaping @Sendable (Notice) -> Void = { _ in },
        handler: @escaping @Sendable (DeviceToolCall) async -> ToolOutcome
    ) {
        self.gatewayURL = gatewayURL
        self.identity = identity
        self.tools = tools
        self.outcomes = outcomes
        self.options = options
        self.onNotice = onNotice
        self.handler = handler
        group = eventLoopGroup
        desk = CallDesk(capacity: max(1, options.maxCalls))
    }

    /// Runs until the task is canceled (returns) or the gateway refuses for good (throws). To be called once.
    public func run() async throws(DeviceConnectionError) {
        let dial = try WebSocketDial(gatewayURL: gatewayURL)
        let end = await withTaskGroup(of: DeviceConnectionError?.self) { group in
            group.addTask {
                await self.serveCalls()
                return nil
            }
            group.addTask { await self.stayConnected(dial) }
            // Calls are served until the connection is over or the task is canceled.
            let first = await group.next() ?? nil
            desk.finish()
            group.cancelAll()
            let second = await group.next() ?? nil
            return first ?? second
        }
        if let end { throw end }
    }

    /// Nil when the task was canceled.
    private func stayConnected(_ dial: WebSocketDial) async -> DeviceConnectionError? {
        var backOff = options.backOff
        while !Task.isCancelled {
            let started = ContinuousClock.now
            let failure: DeviceConnectionError
            do {
                let socket = try await dial.connect(
                    group: group, maxMessageBytes: options.maxMessageBytes, timeoutSeconds: options.connectTimeoutSeconds, tls: options.tls)
                failure = await DeviceSession(connection: self, socket: socket).run()
            } catch {
                failure = error
            }
            setLink(nil)
            if Task.isCancelled { return nil }
            if failure.isFinal || !options.reconnects { return failure }
            // A session that ends as soon as it began must not be retried at full speed for ever.
            if ContinuousClock.now - started > .seconds(30) { backOff.reset() }
            let delay = backOff.next()
            onNotice(.disconnected(failure, retryIn: delay))
            do { try await Task.sleep(for: delay) } catch { return nil }
        }
        return nil
    }

    private func serveCalls() async {
        await withTaskGroup(of: Void.self) { group in
            var running = 0
            for await call in desk.calls {
                if running >= max(1, options.maxConcurrentCalls) {
                    await group.next()
                    running -= 1
                }
                group.addTask { await self.perform(call) }
                running += 1
            }
        }
    }

    private func perform(_ call: DeviceToolCall) async {
        defer { desk.end(call.callId) }
        // It may have been finished between its repetition's arrival and this moment.
        if let known = await outcomes.outcome(of: call.callId) { return await send(call.callId, known) }
        let handler = handler
        onNotice(.callStarted(call))
        let work = desk.begin(call.callId) { await handler(call) }
        let outcome = await withTaskCancellationHandler {
            await work.value
        } onCancel: {
            work.cancel()
        }
        // Cut short by this device's own shutdown: no outcome. The gateway asks again, and the next process answers.
        if Task.isCancelled { return }
        let stored = await store(call.callId, outcome)
        onNotice(.callFinished(call, stored))
        await send(call.callId, stored)
    }

    /// Stored before it is sent. What does not fit a frame becomes an error, since no result would ever arrive.
    func store(_ callId: String, _ outcome: ToolOutcome) async -> ToolOutcome {
        var outcome = outcome
        let size = DeviceFrame.toolResult(callId: callId, outcome).bytes.count
        let maxFrameBytes = link.withLock { $0?.maxFrameBytes } ?? 1 << 20
        if size > maxFrameBytes {
            outcome = .error(code: "result_too_large", message: "The result needs \(size) bytes; a frame holds \(maxFrameBytes).")
        }
        do { return try await outcomes.record(callId, outcome) } catch {
            onNotice(.warning("\(error)"))
            return outcome
        }
    }

    /// Without a session, or if it breaks, the outcome waits in the store for the next one.
    func send(_ callId: String, _ outcome: ToolOutcome) async {
        guard let link = link.withLock({ $0 }) else { return }
        await outcomes.markSent(callId)
        try? await link.writer.text(DeviceFrame.toolResult(callId: callId, outcome))
    }

    func sendAgain(olderThan age: Duration) async {
        for (callId, outcome) in await outcomes.unacknowledged(olderThan: age, maxSends: 5, limit: 64) {
            await send(callId, outcome)
        }
    }

    func setLink(_ new: DeviceLink?) { link.withLock { $0 = new } }
}

struct DeviceLink: Sendable {
    let writer: WebSocketWriter
    let maxFrameBytes: Int
}
