import Domain
import HsafaClient
import JSON
import NIOCore
import NIOHTTP1
import Synchronization
import TestSupport
import Testing

@testable import GatewayHTTP

/// Every bound of a connection: at it all is well, one over is the named refusal. Bodies, and the depth of JSON, have theirs in
/// `RequestTests`.
@Suite(.timeLimit(.minutes(5)))
struct BoundsTests {
    private func answer(_ bytes: String) async throws -> Answer {
        try await RawConnection.open(try await TestGateway.shared.value) { connection in
            try await connection.send(bytes)
            return try await connection.answer()
        }
    }

    @Test func `a target`() async throws {
        func target(_ length: Int) -> String { "/health/" + String(repeating: "a", count: length - "/health/".count) }
        try await answer("GET \(target(Limits.maxURIBytes)) HTTP/1.1\r\nHost: a\r\n\r\n").expectProblem(404, "route_not_found")
        try await answer("GET \(target(Limits.maxURIBytes + 1)) HTTP/1.1\r\nHost: a\r\n\r\n").expectProblem(414, "uri_too_long")
    }

    @Test func `the number of header fields`() async throws {
        func fields(_ count: Int) -> String { (1..<count).map { "X-\($0): a\r\n" }.joined() }
        #expect(try await answer("GET /health HTTP/1.1\r\nHost: a\r\n\(fields(Limits.maxHeaderFields))\r\n").status == 200)
        try await answer("GET /health HTTP/1.1\r\nHost: a\r\n\(fields(Limits.maxHeaderFields + 1))\r\n")
            .expectProblem(431, "headers_too_large")
    }

    @Test func `the size of all header fields, and of one`() async throws {
        // What counts are the target, the names and the values.
        let rest = "/healthHostaX-Wide".utf8.count
        for (size, status) in [(Limits.maxHeaderBytes, 200), (Limits.maxHeaderBytes + 1, 431)] {
            let value = String(repeating: "v", count: size - rest)
            #expect(try await answer("GET /health HTTP/1.1\r\nHost: a\r\nX-Wide: \(value)\r\n\r\n").status == status)
            let half = value.prefix(value.count / 2)
            let other = value.dropFirst(value.count / 2 + "X-More".utf8.count)
            let several = "GET /health HTTP/1.1\r\nHost: a\r\nX-Wide: \(half)\r\nX-More: \(other)\r\n\r\n"
            #expect(try await answer(several).status == status)
        }
    }

    // MARK: Frames

    private func frame(_ size: Int) -> [UInt8] {
        let begin = Array(#"{"type":"ping","ts":""#.utf8)
        let end = Array(#""}"#.utf8)
        return begin + Array(repeating: UInt8(ascii: "x"), count: size - begin.count - end.count) + end
    }

    @Test func `a frame before registration`() async throws {
        let gateway = try await TestGateway.shared.value
        try await RawSocket.open(gateway) { socket async throws in
            _ = try await socket.next("device.challenge")
            // Read, and refused for what it says: its time is too long.
            try await socket.send(opcode: 1, frame(Limits.maxFrameBytesBeforeRegistration))
            #expect(try await socket.next("error")["code"]?.string == "malformed_frame")
        }
        try await RawSocket.open(gateway) { socket async throws in
            _ = try await socket.next("device.challenge")
            try await socket.send(opcode: 1, frame(Limits.maxFrameBytesBeforeRegistration + 1))
            #expect(try await socket.closing() == 1009)
        }
    }

    @Test func `a frame after registration, whole or in fragments`() async throws {
        let tenant = try await TestTenant.make()
        let device = try await tenant.device()
        for isInFragments in [false, true] {
            try await device.connected(tenant.gateway) { socket async throws in
                func send(_ size: Int) async throws {
                    let bytes = frame(size)
                    guard isInFragments else { return try await socket.send(opcode: 1, bytes) }
                    try await socket.send(opcode: 1, Array(bytes[..<(size / 2)]), isFinal: false)
                    try await socket.send(opcode: 0, Array(bytes[(size / 2)...]))
                }
                try await send(Limits.maxDeviceFrameBytes)
                // Read, and refused for what it says: its time is too long.
                #expect(try await socket.next("error")["code"]?.string == "malformed_frame")
                // Thrown away, and said so.
                try await send(Limits.maxDeviceFrameBytes + 1)
                #expect(try await socket.next("error")["code"]?.string == "frame_too_large")
                try await send(Limits.maxSkimmedFrameBytes)
                #expect(try await socket.next("error")["code"]?.string == "frame_too_large")
                try? await send(Limits.maxSkimmedFrameBytes + 1)
                #expect(try await socket.closing() == 1009)
            }
        }
    }

    @Test func `the depth of a frame`() async throws {
        let tenant = try await TestTenant.make()
        try await tenant.device().connected(tenant.gateway) { socket async throws in
            // The frame itself is the first level.
            func odd(_ depth: Int) -> String {
                let (open, close) = (String(repeating: "[", count: depth - 1), String(repeating: "]", count: depth - 1))
                return #"{"type":"odd","value":\#(open)\#(close)}"#
            }
            try await socket.send(odd(Limits.maxJSONDepth), breaking: "a type that is none says that the message was read")
            #expect(try await socket.next("error")["code"]?.string == "unknown_type")
            try await socket.send(odd(Limits.maxJSONDepth + 1), breaking: "the depth is what is tested")
            #expect(try await socket.next("error")["code"]?.string == "malformed_frame")
        }
    }

    // MARK: Connections

    @Test func `the number of connections: one more waits until another ends`() async throws {
        var listener = ListenerConfiguration()
        listener.maxConnections = 3
        let gateway = try await TestGateway.running(in: try await .fresh(), listener: listener)
        let served = Served()
        let late = try await RawConnection.open(gateway) { (one: RawConnection) async throws -> Task<Bool, any Error> in
            #expect(try await Self.isUp(one))
            return try await RawConnection.open(gateway) { (two: RawConnection) async throws -> Task<Bool, any Error> in
                #expect(try await Self.isUp(two))
                return try await RawConnection.open(gateway) { (three: RawConnection) async throws -> Task<Bool, any Error> in
                    #expect(try await Self.isUp(three))
                    let late = Task {
                        try await RawConnection.open(gateway) { (four: RawConnection) async throws -> Bool in
                            let isUp = try await Self.isUp(four)
                            served.isFourth.store(true, ordering: .releasing)
                            return isUp
                        }
                    }
                    // Those that are in go on meanwhile.
                    for _ in 0..<20 { for connection in [one, two, three] { #expect(try await Self.isUp(connection)) } }
                    let isServed = served.isFourth.load(ordering: .acquiring)
                    #expect(!isServed, "nobody has left yet")
                    return late
                }
            }
        }
        #expect(try await late.value)
    }

    private final class Served: Sendable {
        let isFourth = Atomic(false)
    }

    private static func isUp(_ connection: RawConnection) async throws -> Bool {
        try await connection.send("GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        return try await connection.answer().status == 200
    }

    // MARK: Time

    private static let short = Task {
        var listener = ListenerConfiguration()
        listener.times.idle = .seconds(3)
        listener.times.head = .seconds(3)
        listener.times.body = .seconds(3)
        listener.times.linger = .milliseconds(200)
        return try await TestGateway.running(in: try await .fresh(), listener: listener)
    }

    /// Sends pieces a moment apart, then reads one answer; nil when the connection just ends.
    private func paced(_ gateway: TestGateway, _ pieces: [String], every pause: Duration) async throws -> Answer? {
        try await RawConnection.open(gateway) { connection in
            for piece in pieces {
                // The gateway may have ended it already.
                do { try await connection.send(piece) } catch { break }
                // Pacing is what is under test here.
                try await Task.sleep(for: pause)
            }
            return try? await connection.answer()
        }
    }

    @Test func `a head that comes slowly, but in time, is served, and one that takes longer is cut`() async throws {
        let head = ["GET /health HT", "TP/1.1\r\nHo", "st: a\r\n", "\r\n"]
        // In time is within the bound in force, which is longer than a test may stand still.
        #expect(try await paced(TestGateway.shared.value, head, every: .milliseconds(100))?.status == 200)
        let drip = "GET /health HTTP/1.1\r\nHost: a\r\n" + String(repeating: "X-Drip: a\r\n", count: 100)
        let answer = try await paced(Self.short.value, drip.map { String($0) }, every: .milliseconds(50))
        try #require(answer).expectProblem(408, "request_timeout")
    }

    @Test func `a body that comes slowly, but in time, is served, and one that takes longer is cut`() async throws {
        func head(_ tenant: TestTenant) -> String {
            "POST /api/agents HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(tenant.key)\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\r\n"
        }
        let (patient, short) = (try await TestTenant.make(), try await TestTenant.make(on: try await Self.short.value))
        let body = [#"{"name""#, ":", #""slo"}"#]
        #expect(body.joined().utf8.count == 14)
        #expect(try await paced(patient.gateway, [head(patient)] + body, every: .milliseconds(100))?.status == 201)
        // Twelve of fourteen bytes in the time that is given, and the rest never.
        let answer = try await paced(short.gateway, [head(short)] + (0..<12).map { _ in " " }, every: .milliseconds(250))
        try #require(answer).expectProblem(408, "request_timeout")
    }

    @Test func `a connection without a request is closed, before its first and after its last`() async throws {
        for bytes in ["", "GET /health HTTP/1.1\r\nHost: a\r\n\r\n"] {
            let gateway = try await Self.short.value
            let start = ContinuousClock.now
            try await RawConnection.open(gateway) { connection in
                if !bytes.isEmpty {
                    try await connection.send(bytes)
                    #expect(try await connection.answer().status == 200)
                }
                while try await connection.receive() {}
                #expect(ContinuousClock.now - start >= .seconds(3))
            }
        }
    }

    @Test func `a client that takes nothing of what it asked for is closed`() async throws {
        // A gateway of its own, for its refusals are counted.
        var listener = ListenerConfiguration()
        listener.times.stall = .seconds(2)
        let gateway = try await TestGateway.running(in: try await .fresh(), listener: listener)
        let tenant = try await TestTenant.make(on: gateway)
        // The description is asked for until it fills every buffer on the way.
        let ask = "GET /openapi.yaml HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \(tenant.key)\r\n\r\n"
        try await RawConnection.open(gateway, receiveBuffer: 4096) { connection in
            try? await connection.send(String(repeating: ask, count: 400))
            #expect(await eventually { gateway.metric("hsafa_connections_refused_total") == 1 })
            #expect(gateway.metric("hsafa_http_requests_total") < 200, "an answer waits until those before it are taken")
        }
    }
}
