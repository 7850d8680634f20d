import NIOCore
import NIOPosix
import Synchronization
import TestServers
import Testing

@testable import Redis

@Suite("RedisClient: failures", .timeLimit(.minutes(5)))
struct FailureTests {
    private final class Tally: Sendable {
        let answered = Atomic(0)
        let lost = Atomic(0)
        let refused = Atomic(0)
        let isOver = Atomic(false)
    }

    /// Each caller checks that its counter is never behind what was confirmed, nor ahead of what may have run.
    private func count(_ client: RedisClient, _ tally: Tally, key: String) async throws {
        var confirmed = 0
        var uncertain = 0
        while !tally.isOver.load(ordering: .acquiring) {
            do throws(RedisError) {
                let value = try await client.send(RedisCommand("INCR", key)).int ?? 0
                #expect(value > confirmed && value <= confirmed + uncertain + 1, "\(value) after \(confirmed) and \(uncertain) uncertain")
                confirmed = value
                uncertain = 0
                tally.answered.add(1, ordering: .relaxed)
            } catch {
                #expect(error.code == .connection)
                if error.mayHaveRun {
                    uncertain += 1
                    tally.lost.add(1, ordering: .relaxed)
                } else {
                    tally.refused.add(1, ordering: .relaxed)
                    try? await Task.sleep(for: .milliseconds(1))
                }
            }
        }
    }

    @Test("a connection killed under load loses only what was on the wire, and callers learn which that may be")
    func killedUnderLoad() async throws {
        let server = try await ThrowawayRedis.start()
        defer { server.remove() }
        try await withClient(server.url) { client in
            let tally = Tally()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for caller in 0..<64 { group.addTask { try await self.count(client, tally, key: "n\(caller)") } }
                try await withClient(server.url) { killer in
                    for round in 1...10 {
                        let (before, lost) = (tally.answered.load(ordering: .acquiring), tally.lost.load(ordering: .acquiring))
                        try await eventually("no load") { tally.answered.load(ordering: .acquiring) > before + 500 }
                        if round.isMultiple(of: 2) {
                            // All wait for a server that holds writes back; none of their commands is still here, some answers may come.
                            _ = try await killer.send(RedisCommand("CLIENT", "PAUSE", "600000", "WRITE"))
                            try await eventually("not all wait on the wire") {
                                let statistics = client.statistics
                                return statistics.unansweredCommands == 64 && statistics.unwrittenBytes == 0
                            }
                        }
                        _ = try await killer.send(RedisCommand("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))
                        _ = try await killer.send(RedisCommand("CLIENT", "UNPAUSE"))
                        try await eventually("no reconnect") { client.isConnected && client.statistics.connections == round + 1 }
                        if round.isMultiple(of: 2) { try await eventually("none lost") { tally.lost.load(ordering: .acquiring) > lost } }
                    }
                }
                tally.isOver.store(true, ordering: .releasing)
                try await group.waitForAll()
            }
            #expect(client.statistics.unansweredCommands == 0)
            #expect(client.statistics.unwrittenBytes == 0)
        }
    }

    @Test("a server that is killed and comes back is used again")
    func restartUnderLoad() async throws {
        let server = try await ThrowawayRedis.start()
        defer { server.remove() }
        try await withClient(server.url) { client in
            let tally = Tally()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<64 {
                    group.addTask {
                        while !tally.isOver.load(ordering: .acquiring) {
                            do throws(RedisError) {
                                let echo = try await client.send(RedisCommand("ECHO", "x"))
                                #expect(echo.string == "x")
                                tally.answered.add(1, ordering: .relaxed)
                            } catch {
                                // A server that just started may also say that it is loading.
                                #expect(error.code == .connection)
                                tally.refused.add(1, ordering: .relaxed)
                                try? await Task.sleep(for: .milliseconds(1))
                            }
                        }
                    }
                }
                for _ in 0..<3 {
                    let before = tally.answered.load(ordering: .acquiring)
                    try await eventually("no load") { tally.answered.load(ordering: .acquiring) > before + 500 }
                    server.kill()
                    try await eventually("loss not seen") { !client.isConnected }
                    #expect(!client.post([RedisCommand("PING")]))
                    let error = await #expect(throws: RedisError.self) { try await client.send(RedisCommand("PING")) }
                    #expect(error?.code == .connection)
                    #expect(error?.mayHaveRun == false)
                    try await server.start()
                    try await eventually("no reconnect") { client.isConnected }
                }
                tally.isOver.store(true, ordering: .releasing)
                try await group.waitForAll()
            }
            #expect(client.statistics.unansweredCommands == 0)
            #expect(client.statistics.unwrittenBytes == 0)
        }
    }

    @Test("a full queue refuses at once and takes commands again when replies came")
    func queueFull() async throws {
        let server = try await ThrowawayRedis.start()
        defer { server.remove() }
        try await withClient(server.url, { $0.maxQueuedCommands = 10 }) { client in
            _ = try await client.send(RedisCommand("CLIENT", "PAUSE", "60000", "WRITE"))
            #expect(client.post((0..<10).map { RedisCommand("SET", "k\($0)", "x") }))
            let error = await #expect(throws: RedisError.self) { try await client.send(RedisCommand("PING")) }
            #expect(error?.code == .queueFull)
            #expect(error?.mayHaveRun == false)
            #expect(!client.post([RedisCommand("PING")]))
            try await withClient(server.url) { _ = try await $0.send(RedisCommand("CLIENT", "UNPAUSE")) }
            try await eventually("queue not drained") { client.statistics.unansweredCommands == 0 }
            #expect(try await client.send(RedisCommand("GET", "k9")).string == "x")
        }
    }

    @Test("bytes that the socket does not take are bounded")
    func queueFullOfBytes() async throws {
        try await withClient(SharedRedis.url, { $0.maxQueuedBytes = 10_000 }) { client in
            let key = uniqueKey("bytes")
            let tooLarge = RedisCommand("SET", key, String(repeating: "x", count: 10_000))
            let error = await #expect(throws: RedisError.self) { try await client.send(tooLarge) }
            #expect(error?.code == .queueFull)
            for _ in 0..<20 {
                var fits = RedisCommand("SET", key)
                fits.append([UInt8](repeating: 0, count: 9_000))
                #expect(try await client.send(fits) == .status("OK"))
            }
            try await eventually("bytes not given back") { client.statistics.unwrittenBytes == 0 }
            _ = try await client.send(RedisCommand("DEL", key))
        }
    }

    @Test("a caller alone on a queue of one never finds it full")
    func queueOfOne() async throws {
        try await withClient(SharedRedis.url, { $0.maxQueuedCommands = 1 }) { client in
            for index in 0..<2_000 {
                let echo = try await client.send(RedisCommand("ECHO", "\(index)"))
                #expect(echo.string == "\(index)")
            }
        }
    }

    @Test("a command that times out keeps its place, so that later replies reach their own callers")
    func timeoutKeepsOrder() async throws {
        let server = try await FakeRedis.start { _, received in
            received.contains("second") ? "$5\r\nfirst\r\n*1\r\n:1\r\n$6\r\nsecond\r\n" : nil
        }
        try await withClient(server.url, { $0.commandTimeoutMilliseconds = 8_000 }) { client in
            let error = await #expect(throws: RedisError.self) {
                try await client.pipeline([RedisCommand("GET", "first"), RedisCommand("GET", "x")])
            }
            #expect(error?.code == .timeout)
            #expect(error?.mayHaveRun == true)
            #expect(client.statistics.unansweredCommands == 2)
            let second = try await client.send(RedisCommand("GET", "second"))
            #expect(second.string == "second")
            #expect(client.statistics.unansweredCommands == 0)
            #expect(client.statistics.connections == 1)
        }
        try await server.stop()
    }

    @Test("a server that pauses times callers out, and is given up when silent for twice the timeout")
    func timeoutOfPausedServer() async throws {
        let server = try await ThrowawayRedis.start()
        defer { server.remove() }
        try await withClient(server.url, { $0.commandTimeoutMilliseconds = 150 }) { client in
            try await eventually("not connected") { client.isConnected }
            try await withClient(server.url) { _ = try await $0.send(RedisCommand("CLIENT", "PAUSE", "60000", "ALL")) }
            let start = ContinuousClock.now
            let error = await #expect(throws: RedisError.self) { try await client.send(RedisCommand("PING")) }
            #expect(error?.code == .timeout)
            #expect(ContinuousClock.now - start >= .milliseconds(150))
            try await eventually("still up") { !client.isConnected }
        }
    }

    @Test("a cancelled caller returns at once and its reply reaches nobody")
    func cancellation() async throws {
        let server = try await FakeRedis.start { _, received in received.contains("second") ? "$5\r\nfirst\r\n$6\r\nsecond\r\n" : nil }
        try await withClient(server.url) { client in
            let waiting = Task { try await client.send(RedisCommand("GET", "first")) }
            try await eventually("not sent") { client.statistics.unansweredCommands == 1 }
            waiting.cancel()
            let error = await #expect(throws: RedisError.self) { try await waiting.value }
            #expect(error?.code == .canceled)
            #expect(error?.mayHaveRun == true)
            #expect(try await client.send(RedisCommand("GET", "second")).string == "second")
            let late = await Task {
                withUnsafeCurrentTask { $0?.cancel() }
                return await #expect(throws: RedisError.self) { try await client.send(RedisCommand("GET", "third")) }
            }.value
            #expect(late?.code == .canceled)
            #expect(late?.mayHaveRun == false)
            #expect(client.statistics.unansweredCommands == 0)
        }
        try await server.stop()
    }

    @Test("a client that nobody runs fails its callers after the connect timeout")
    func notRun() async throws {
        var configuration = try RedisConfiguration(url: "redis://127.0.0.1:1")
        configuration.connectTimeoutMilliseconds = 50
        let client = RedisClient(configuration, eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: quiet)
        let error = await #expect(throws: RedisError.self) { try await client.send(RedisCommand("PING")) }
        #expect(error?.code == .connection)
        #expect(error?.mayHaveRun == false)
        #expect(!client.post([RedisCommand("PING")]))
    }

    @Test("a server that accepts and stays silent fails the first callers after the connect timeout")
    func silentServer() async throws {
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton).bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(listener.localAddress?.port)
        try await withClient("redis://127.0.0.1:\(port)", { $0.connectTimeoutMilliseconds = 100 }) { client in
            let error = await #expect(throws: RedisError.self) { try await client.send(RedisCommand("PING")) }
            #expect(error?.code == .connection)
            #expect(error?.mayHaveRun == false)
        }
        try await listener.close()
    }

    @Test("garbage is a protocol violation, and the next connection works")
    func garbage() async throws {
        let server = try await FakeRedis.start { connection, _ in connection == 1 ? "HTTP/1.1 200 OK\r\n\r\n" : "+fine\r\n" }
        try await withClient(server.url) { client in
            let error = await #expect(throws: RedisError.self) { try await client.send(RedisCommand("GET", "x")) }
            #expect(error?.code == .protocolViolation)
            #expect(error?.mayHaveRun == true)
            try await eventually("no reconnect") { client.isConnected && client.statistics.connections == 2 }
            #expect(try await client.send(RedisCommand("GET", "x")).string == "fine")
        }
        try await server.stop()
    }

    @Test(
        "a reply that nobody asked for, or beyond the bound, ends the connection",
        arguments: ["+OK\r\n+surplus\r\n", "$900000\r\n", "*9000\r\n"])
    func excess(reply: String) async throws {
        let filler = reply.hasPrefix("$") ? String(repeating: "x", count: 200_000) : ""
        let server = try await FakeRedis.start { connection, _ in connection == 1 ? reply + filler : "+fine\r\n" }
        let bounds: (inout RedisConfiguration) -> Void = {
            $0.maxReplyBytes = 100_000
            $0.maxReplyElements = 1_000
        }
        try await withClient(server.url, bounds) { client in
            _ = try? await client.send(RedisCommand("GET", "x"))
            try await eventually("no reconnect") { client.isConnected && client.statistics.connections == 2 }
            #expect(try await client.send(RedisCommand("GET", "x")).string == "fine")
        }
        try await server.stop()
    }

    @Test("after shutdown every waiter has its answer, new commands are refused and run returns")
    func shutDown() async throws {
        let server = try await FakeRedis.start { _, _ in nil }
        var configuration = try RedisConfiguration(url: server.url)
        configuration.connectTimeoutMilliseconds = 60_000
        configuration.commandTimeoutMilliseconds = 120_000
        let client = RedisClient(configuration, eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: quiet)
        async let run: Void = client.run()
        async let reply = client.send(RedisCommand("GET", "x"))
        try await eventually("not sent") { client.isConnected && client.statistics.unansweredCommands == 1 }
        client.shutDown()
        await run
        do {
            _ = try await reply
            Issue.record("a reply from nowhere")
        } catch let error as RedisError {
            #expect(error.code == .shutDown)
        }
        let refused = await #expect(throws: RedisError.self) { try await client.send(RedisCommand("PING")) }
        #expect(refused?.code == .shutDown)
        #expect(refused?.mayHaveRun == false)
        #expect(!client.isConnected)
        await client.run()
        try await server.stop()
    }
}
