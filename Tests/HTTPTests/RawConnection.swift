import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// A connection on which a test decides about every byte. Used by one task at a time.
final class RawConnection {
    private var inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    private let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    private var received = ByteBuffer()
    /// What was sent since the last blank line.
    private var unsent: [UInt8] = []
    /// From the upgrade on there are no requests.
    private var isSocket = false
    /// Requests that were sent whole and not answered yet, oldest first.
    private var asked: [(method: String, target: String)] = []
    private(set) var isEnded = false

    private init(_ inbound: NIOAsyncChannelInboundStream<ByteBuffer>, _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>) {
        self.inbound = inbound.makeAsyncIterator()
        self.outbound = outbound
    }

    struct Ended: Error {}

    /// - Parameter seconds: the connection is closed after them, so that nothing waits forever; later than the time limits of the suites, so that a test which waits for the other side to close fails.
    static func open<R>(
        _ gateway: TestGateway, receiveBuffer: Int? = nil, seconds: Int64 = 600, resets: Bool = false, tls: NIOSSLContext? = nil,
        _ body: (RawConnection) async throws -> R
    ) async throws -> R {
        var bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        if let receiveBuffer { bootstrap = bootstrap.channelOption(.socketOption(.so_rcvbuf), value: .init(receiveBuffer)) }
        let channel = try await bootstrap.connect(host: "127.0.0.1", port: gateway.port) { channel in
            channel.eventLoop.makeCompletedFuture {
                if let tls {
                    try channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: tls, serverHostname: "localhost"))
                }
                return try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                    wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
            }
        }
        // Closing with a linger time of zero sends RST (SO_LINGER, socket(7)).
        if resets, let socket = channel.channel as? any SocketOptionProvider {
            try await socket.setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
        }
        let limit = channel.channel.eventLoop.scheduleTask(in: .seconds(seconds)) { channel.channel.close(promise: nil) }
        defer { limit.cancel() }
        return try await channel.executeThenClose { inbound, outbound in
            let result = try await body(RawConnection(inbound, outbound))
            // At once and altogether: what follows would close one side after the other.
            if resets { try? await channel.channel.close() }
            return result
        }
    }

    func send(_ bytes: [UInt8]) async throws {
        note(bytes)
        try await outbound.write(ByteBuffer(bytes: bytes))
    }

    /// A head may come in pieces; what stands before its line is the body of the request before.
    private func note(_ bytes: [UInt8]) {
        guard !isSocket else { return }
        unsent += bytes
        while let end = unsent.firstBlankLine {
            let first = unsent[..<end].prefix(16 * 1024).split(separator: UInt8(ascii: "\r"), maxSplits: 1).first ?? []
            let words = String(decoding: first, as: UTF8.self).split(separator: " ", omittingEmptySubsequences: false).suffix(3)
            let isHTTP = words.last == "HTTP/1.1" || words.last == "HTTP/1.0"
            if words.count == 3, isHTTP, let method = words.first?.split(whereSeparator: { !$0.isUppercase }).last {
                // Of a whole URL, the path and what follows.
                let target = words[words.startIndex + 1].replacing(/^http:\/\/[^\/]*/, with: "", maxReplacements: 1)
                asked.append((String(method), String(target)))
            }
            unsent.removeSubrange(..<(end + 4))
        }
    }

    func send(_ text: String) async throws { try await send(Array(text.utf8)) }

    /// Closes this side; the other may still answer.
    func finish() { outbound.finish() }

    /// Waits for more bytes; false when the other side is done.
    func receive() async throws -> Bool {
        guard !isEnded else { return false }
        do {
            guard var chunk = try await inbound.next() else {
                isEnded = true
                return false
            }
            received.discardReadBytes()
            received.writeBuffer(&chunk)
            return true
        } catch let error as IOError where error.errnoCode == ECONNRESET {
            isEnded = true
            return false
        }
    }

    /// Received and not yet taken.
    var available: Int { received.readableBytes }

    /// The next bytes, exactly so many.
    func take(_ count: Int) async throws -> [UInt8] {
        while received.readableBytes < count { guard try await receive() else { throw Ended() } }
        return received.readBytes(length: count) ?? []
    }

    /// The next answer's head, through its blank line. It is held to the description; its body is the test's business.
    func head() async throws -> (status: Int, headers: HTTPHeaders) {
        let (status, headers) = try await readHead()
        hold(status, headers, nil)
        return (status, headers)
    }

    private func hold(_ status: Int, _ headers: HTTPHeaders, _ body: [UInt8]?) {
        guard status >= 200 || status == 101 else { return }
        isSocket = status == 101
        let request = asked.isEmpty ? ("", "") : asked.removeFirst()
        HeldToContract.answer(request.0, request.1, status: status, headers, body)
    }

    private func readHead() async throws -> (status: Int, headers: HTTPHeaders) {
        var bytes: [UInt8] = []
        while !bytes.suffix(4).elementsEqual("\r\n\r\n".utf8) { bytes += try await take(1) }
        let lines = String(decoding: bytes.dropLast(4), as: UTF8.self).split(separator: "\r\n")
        var headers = HTTPHeaders()
        for line in lines.dropFirst() {
            let colon = line.firstIndex(of: ":") ?? line.endIndex
            headers.add(name: String(line[..<colon]), value: String(line[colon...].dropFirst().drop { $0 == " " }))
        }
        return (lines.first?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0, headers)
    }

    /// The next answer, whose body has a length or goes on to the connection's end.
    func answer() async throws -> Answer {
        let (status, headers) = try await readHead()
        let answer = try await body(status, headers)
        hold(status, headers, answer.bytes)
        return answer
    }

    private func body(_ status: Int, _ headers: HTTPHeaders) async throws -> Answer {
        if let length = headers.first(name: "content-length").flatMap({ Int($0) }) {
            return Answer(status: status, headers: headers, bytes: try await take(length))
        }
        if headers.first(name: "transfer-encoding") == "chunked" {
            var body: [UInt8] = []
            while let chunk = try await chunk() { body += chunk }
            return Answer(status: status, headers: headers, bytes: body)
        }
        while try await receive() {}
        return Answer(status: status, headers: headers, bytes: Array(received.readableBytesView))
    }

    /// The next chunk of a chunked body (RFC 9112 §7.1); nil is its end.
    func chunk() async throws -> [UInt8]? {
        var line: [UInt8] = []
        while !line.suffix(2).elementsEqual("\r\n".utf8) { line += try await take(1) }
        guard let size = Int(String(decoding: line.dropLast(2), as: UTF8.self), radix: 16) else { throw Ended() }
        let bytes = try await take(size)
        _ = try await take(2)
        return size == 0 ? nil : bytes
    }
}

extension [UInt8] {
    /// Where CR LF CR LF begins.
    fileprivate var firstBlankLine: Int? {
        guard count >= 4 else { return nil }
        var index = 3
        while index < count {
            // Whatever stands here, the blank line ends here, one, two or three bytes on, or after that.
            switch self[index] {
            case UInt8(ascii: "\n"):
                if self[(index - 3)...index].elementsEqual("\r\n\r\n".utf8) { return index - 3 }
                index += 1
            case UInt8(ascii: "\r"): index += 1
            default: index += 4
            }
        }
        return nil
    }
}
