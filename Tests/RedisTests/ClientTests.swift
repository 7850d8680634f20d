import NIOCore
import NIOPosix
import TestServers
import Testing

@testable import Redis

@Suite("RedisClient: commands", .timeLimit(.minutes(5)))
struct ClientTests {
    @Test("values of all kinds come back as they were sent, binary included")
    func values() async throws {
        try await withClient(SharedRedis.url) { client in
            let key = uniqueKey("value")
            let everyByte = (0...255).map { UInt8($0) }
            var set = RedisCommand("SET")
            set.append(key)
            set.append(everyByte)
            #expect(try await client.send(set) == .status("OK"))
            #expect(try await client.send(RedisCommand("GET", key)) == .bulk(ByteBuffer(bytes: everyByte)))
            var buffered = RedisCommand("SET", key)
            buffered.append(ByteBuffer(string: "größe"))
            _ = try await client.send(buffered)
            #expect(try await client.send(RedisCommand("GET", key)).string == "größe")
            var add = RedisCommand("INCRBY", uniqueKey("n"))
            add.append(-7)
            #expect(try await client.send(add).int == -7)
            #expect(try await client.send(RedisCommand("GET", uniqueKey("none"))) == .null)
            #expect(try await client.send(RedisCommand("SET", key, "")) == .status("OK"))
            #expect(try await client.send(RedisCommand("GET", key)).bytes?.readableBytes == 0)
            _ = try await client.send(RedisCommand("DEL", key))
        }
    }

    @Test("a megabyte goes and comes")
    func large() async throws {
        try await withClient(SharedRedis.url) { client in
            let key = uniqueKey("large")
            let bytes = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            var set = RedisCommand("SET", key)
            set.append(bytes)
            _ = try await client.send(set)
            #expect(try await client.send(RedisCommand("GET", key)).bytes == ByteBuffer(bytes: bytes))
            _ = try await client.send(RedisCommand("DEL", key))
        }
    }

    @Test("stream entries keep their ids and refuse an id that is not greater")
    func streams() async throws {
        try await withClient(SharedRedis.url) { client in
            let key = uniqueKey("stream")
            for seq in 1...3 {
                #expect(try await client.send(RedisCommand("XADD", key, "\(seq)-0", "e", "frame \(seq)")).string == "\(seq)-0")
            }
            let entries = try await client.send(RedisCommand("XRANGE", key, "(1-0", "+")).array ?? []
            #expect(entries.compactMap { $0.array?[0].string } == ["2-0", "3-0"])
            #expect(entries.compactMap { $0.array?[1].array?[1].string } == ["frame 2", "frame 3"])
            let error = await #expect(throws: RedisError.self) { try await client.send(RedisCommand("XADD", key, "3-0", "e", "again")) }
            #expect(error?.code == .server)
            #expect(error?.message.contains("equal or smaller") == true)
            _ = try await client.send(RedisCommand("DEL", key))
        }
    }

    @Test("a pipeline gives its replies in order, errors as values")
    func pipeline() async throws {
        try await withClient(SharedRedis.url) { client in
            let key = uniqueKey("pipeline")
            let replies = try await client.pipeline([
                RedisCommand("SET", key, "text"), RedisCommand("LPUSH", key, "x"), RedisCommand("GET", key), RedisCommand("DEL", key),
            ])
            #expect(replies.count == 4)
            guard case .error(let message) = replies[1] else { return #expect(Bool(false), "no error reply") }
            #expect(message.hasPrefix("WRONGTYPE"))
            #expect(replies[2].string == "text")
            #expect(replies[3] == .int(1))
            #expect(try await client.pipeline([]).isEmpty)
            #expect(try await client.pipeline([RedisCommand("ECHO", "one")]) == [.bulk(ByteBuffer(string: "one"))])
        }
    }

    @Test("posted commands run in order and their replies reach nobody")
    func post() async throws {
        try await withClient(SharedRedis.url) { client in
            let key = uniqueKey("post")
            _ = try await client.send(RedisCommand("PING"))
            #expect(client.post([RedisCommand("RPUSH", key, "a"), RedisCommand("GET", key), RedisCommand("RPUSH", key, "b")]))
            #expect(client.post([]))
            let list = try await client.send(RedisCommand("LRANGE", key, "0", "-1"))
            #expect(list.array?.compactMap(\.string) == ["a", "b"])
            _ = try await client.send(RedisCommand("DEL", key))
        }
    }

    @Test("a script runs by its hash and again after the server forgot it")
    func scripts() async throws {
        let server = try await ThrowawayRedis.start()
        defer { server.remove() }
        try await withClient(server.url) { client in
            let script = RedisScript("return {KEYS[1], ARGV[1], #ARGV}")
            for _ in 0..<2 {
                for _ in 0..<2 {
                    let reply = try await client.evaluate(script, keys: ["k"], arguments: ["x", "y"])
                    #expect(reply == .array([.bulk(ByteBuffer(string: "k")), .bulk(ByteBuffer(string: "x")), .int(2)]))
                }
                #expect(try await client.send(RedisCommand("SCRIPT", "EXISTS", script.sha1)).array == [.int(1)])
                _ = try await client.send(RedisCommand("SCRIPT", "FLUSH"))
            }
            let failing = RedisScript("redis.call('SET', KEYS[1], 'written') return redis.call('LPUSH', KEYS[1], 'x')")
            let error = await #expect(throws: RedisError.self) { try await client.evaluate(failing, keys: ["k"], arguments: []) }
            #expect(error?.code == .server)
            #expect(error?.mayHaveRun == true)
            #expect(try await client.send(RedisCommand("GET", "k")).string == "written")
        }
    }

    @Test("ten thousand concurrent callers each get their own reply")
    func concurrent() async throws {
        try await withClient(SharedRedis.url) { client in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for caller in 0..<10_000 {
                    group.addTask {
                        let text = "caller \(caller)"
                        let reply = try await client.send(RedisCommand("ECHO", text))
                        #expect(reply.string == text)
                    }
                }
                try await group.waitForAll()
            }
            #expect(client.statistics.unansweredCommands == 0)
        }
    }

    @Test("user, password and database hold for each connection")
    func login() async throws {
        let server = try await ThrowawayRedis.start(
            .unixSocket, ["--requirepass", "main", "--user", "app", "on", ">se:cret", "~*", "&*", "+@all"])
        defer { server.remove() }
        let socket = "\(server.folder)/redis.sock"
        try await withClient("unix://app:se%3Acret@\(socket)?db=3") { client in
            #expect(try await client.send(RedisCommand("ACL", "WHOAMI")).string == "app")
            _ = try await client.send(RedisCommand("SET", "k", "in three"))
            _ = try? await client.send(RedisCommand("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no"))
            try await eventually("no reconnect") { client.isConnected && client.statistics.connections == 2 }
            #expect(try await client.send(RedisCommand("GET", "k")).string == "in three")
            #expect(try await client.send(RedisCommand("ACL", "WHOAMI")).string == "app")
        }
        try await withClient("unix://:main@\(socket)") { client in
            let value = try await client.send(RedisCommand("GET", "k"))
            #expect(value == .null)
        }
        for wrong in ["unix://app:wrong@\(socket)", "unix://\(socket)"] {
            try await withClient(wrong) { client in
                let error = await #expect(throws: RedisError.self) { try await client.send(RedisCommand("PING")) }
                #expect(error?.code == .connection)
                #expect(error?.mayHaveRun == false)
                #expect(
                    error?.message.contains("WRONGPASS") == true || error?.message.contains("NOAUTH") == true, "\(error?.message ?? "")")
                #expect(!client.isConnected)
            }
        }
    }

    @Test("TLS verifies the authority and the name")
    func tls() async throws {
        let certificates = try TestCertificates()
        let port = try freePort()
        let server = try await ThrowawayRedis.start(.tlsPort(port, certificates: certificates))
        defer { server.remove() }
        for host in ["localhost", "127.0.0.1"] {
            try await withClient("rediss://\(host):\(port)", { $0.tlsCertificateFile = certificates.authority }) { client in
                let echo = try await client.send(RedisCommand("ECHO", "over TLS"))
                #expect(echo.string == "over TLS")
            }
        }
        try await expectRefused("rediss://localhost:\(port)", authority: nil)
        try await expectRefused("rediss://localhost:\(port)", authority: "/nonexistent.pem")
        let other = try TestCertificates(names: "DNS:redis.example")
        let otherPort = try freePort()
        let misnamed = try await ThrowawayRedis.start(.tlsPort(otherPort, certificates: other))
        defer { misnamed.remove() }
        try await expectRefused("rediss://localhost:\(otherPort)", authority: other.authority)
        try await expectRefused("rediss://127.0.0.1:\(otherPort)", authority: other.authority)
    }

    private func expectRefused(_ url: String, authority: String?) async throws {
        try await withClient(url, { $0.tlsCertificateFile = authority }) { client in
            let error = await #expect(throws: RedisError.self) { try await client.send(RedisCommand("PING")) }
            #expect(error?.code == .connection)
            #expect(error?.mayHaveRun == false)
            #expect(!client.isConnected)
        }
    }
}
