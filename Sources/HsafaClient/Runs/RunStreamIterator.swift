import AsyncHTTPClient
import JSON
import NIOCore
import NIOHTTP1

extension RunStream {
    public struct AsyncIterator: AsyncIteratorProtocol {
        private let stream: RunStream
        private var lastSeq: Int?
        private var body: HTTPClientResponse.Body.AsyncIterator?
        private var parser: ServerSentEventParser
        private var pending: ArraySlice<ServerSentEvent> = []
        private var backOff: BackOff
        private var failures = 0
        private var wasConnected = false
        private var hasEnded = false
        private var connectedAt = ContinuousClock.now

        init(stream: RunStream) {
            self.stream = stream
            lastSeq = stream.since
            parser = ServerSentEventParser(maxEventBytes: stream.options.maxEventBytes)
            backOff = stream.options.backOff
        }

        public mutating func next() async throws -> RunEvent? {
            while !hasEnded {
                try Task.checkCancellation()
                if let received = pending.popFirst() {
                    guard let event = try accept(received) else { continue }
                    if event.isTerminal {
                        hasEnded = true
                        body = nil
                    }
                    return event
                }
                if body == nil { try await connect() } else { try await receive() }
            }
            return nil
        }

        private mutating func connect() async throws {
            var headers = [("Accept", "text/event-stream"), ("Cache-Control", "no-cache")]
            if let lastSeq { headers.append(("Last-Event-ID", "\(lastSeq)-0")) }
            let path = "/api/runs/\(HsafaClient.percentEncode(stream.runId))/stream"
            let request = stream.client.makeRequest("GET", path, headers: headers, body: nil)
            do {
                let response = try await stream.client.httpClient.execute(request, timeout: .seconds(20))
                try await open(response, path)
            } catch {
                try Task.checkCancellation()
                let failure = HsafaClient.translate(error, baseURL: stream.client.baseURL)
                guard failure.isTransient else { throw failure }
                try await pause(after: failure)
            }
        }

        private func tell(_ response: HTTPClientResponse, _ path: String, _ body: [UInt8]?) {
            stream.client.onTraffic?(
                .answer(
                    HsafaClient.Exchange(
                        method: "GET", path: path, requestBody: nil, status: Int(response.status.code), headers: response.headers,
                        body: body)))
        }

        private mutating func open(_ response: HTTPClientResponse, _ path: String) async throws {
            let requestId = response.headers.first(name: "X-Request-Id")
            if response.status.code == 200 || response.status.code == 204 { tell(response, path, nil) }
            switch response.status.code {
            case 204:
                hasEnded = true
            case 200:
                guard response.headers.first(name: "Content-Type")?.hasPrefix("text/event-stream") == true else {
                    throw HsafaClientError.malformed("The run's stream is not text/event-stream.", requestId: requestId)
                }
                body = response.body.makeAsyncIterator()
                parser = ServerSentEventParser(maxEventBytes: stream.options.maxEventBytes)
                wasConnected = true
                connectedAt = .now
                stream.onNotice(.connected(after: lastSeq))
            default:
                let bytes = Array(try await response.body.collect(upTo: 1 << 20).readableBytesView)
                tell(response, path, bytes)
                throw HsafaClientError(
                    status: Int(response.status.code), requestId: requestId, retryAfter: response.headers.first(name: "Retry-After"),
                    body: bytes)
            }
        }

        private mutating func receive() async throws {
            var reason = "the server ended the connection"
            do {
                if let chunk = try await body?.next() {
                    var events: [ServerSentEvent] = []
                    try parser.consume(chunk, into: &events)
                    pending = events[...]
                    return
                }
            } catch let error as ServerSentEventParser.Failure {
                throw HsafaClientError.malformed("The stream broke its bound: \(error).")
            } catch {
                try Task.checkCancellation()
                reason = "\(error)"
            }
            body = nil
            // A stream may rightly be silent for long; only connections that hardly lived count as failures in a row.
            if ContinuousClock.now - connectedAt > .seconds(5) { recovered() }
            try await pause(after: HsafaClientError(status: nil, code: "unreachable", detail: "The stream broke: \(reason)."))
        }

        private mutating func recovered() {
            failures = 0
            backOff.reset()
        }

        private mutating func pause(after failure: HsafaClientError) async throws {
            failures += 1
            let bound = wasConnected ? stream.options.maxFailures : Swift.min(stream.options.maxFailures, stream.options.maxFailuresAtStart)
            guard failures < bound else { throw failure }
            var delay = backOff.next()
            if let milliseconds = parser.retryMilliseconds, wasConnected, failures == 1 {
                // The server's wish, within reason: `retry: 0` from a confused proxy must not make a busy loop.
                delay = .milliseconds(Int.random(in: 100...Swift.max(100, Swift.min(milliseconds, 10_000))))
            }
            if let seconds = failure.retryAfterSeconds { delay = Swift.max(delay, .seconds(Swift.min(Swift.max(seconds, 0), 60))) }
            stream.onNotice(.interrupted(reason: failure.detail, retryIn: delay, attempt: failures))
            try await Task.sleep(for: delay)
        }

        /// Nil for what is no run event. Throws when the server breaks the promise "each seq once, in order".
        private mutating func accept(_ received: ServerSentEvent) throws(HsafaClientError) -> RunEvent? {
            stream.client.onTraffic?(.event(name: received.event, data: received.data))
            let root: JSONNode
            do { root = try JSONDocument(parsing: received.data).root } catch {
                guard received.event == "hsafa" || received.event == "gap" else { return nil }
                throw .malformed("An event of the stream is not JSON: \(error).")
            }
            switch received.event {
            case "hsafa":
                let event = try RunEvent(root)
                let expected = (lastSeq ?? 0) + 1
                guard event.seq == expected else {
                    throw HsafaClientError(
                        status: nil, code: "stream_out_of_order", detail: "The stream sent seq \(event.seq) where \(expected) was due.")
                }
                if let id = received.id, Self.seq(ofCursor: id) != event.seq {
                    throw .malformed("The stream's id “\(id)” does not belong to seq \(event.seq).")
                }
                lastSeq = event.seq
                recovered()
                return event
            case "gap":
                guard let earliest = Self.cursor(root["earliest"]) else { throw .malformed("A gap without “earliest”.") }
                stream.onNotice(
                    .gap(
                        requested: Self.cursor(root["requested"]) ?? lastSeq ?? 0, earliest: earliest,
                        latest: Self.cursor(root["latest"]) ?? earliest))
                lastSeq = Swift.max(lastSeq ?? 0, earliest - 1)
                return nil
            default:
                return nil
            }
        }

        private static func cursor(_ node: JSONNode?) -> Int? {
            node?.int ?? node?.string.flatMap(seq(ofCursor:))
        }

        /// `42-0` and `42` are the same place.
        private static func seq(ofCursor text: String) -> Int? {
            text.split(separator: "-", maxSplits: 1).first.flatMap { Int($0) }
        }
    }
}
