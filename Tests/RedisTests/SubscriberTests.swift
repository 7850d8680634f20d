import NIOCore
import Synchronization
import TestServers
import Testing

@testable import Redis

@Suite("RedisSubscriber", .timeLimit(.minutes(5)))
struct SubscriberTests {
    @Test("messages come after the confirmation, in order")
    func order() async throws {
        let url = try await SharedRedis.url
        try await withClient(url) { client in
            try await withSubscriber(url) { subscriber in
                let channel = uniqueKey("order")
                var pushes = Pushes()
                let subscription = subscriber.subscribe(channel, pushes.handler)
                #expect(await pushes.next() == .subscribed)
                _ = try await client.pipeline((0..<2_000).map { RedisCommand("PUBLISH", channel, "\($0)") })
                for index in 0..<2_000 { #expect(await pushes.next() == .text("\(index)")) }
                subscription.cancel()
            }
        }
    }

    @Test("a handler that joins a confirmed channel is told at once, and both get what follows")
    func manyHandlers() async throws {
        let url = try await SharedRedis.url
        try await withClient(url) { client in
            try await withSubscriber(url) { subscriber in
                let channel = uniqueKey("many")
                var first = Pushes()
                var second = Pushes()
                let one = subscriber.subscribe(channel, first.handler)
                #expect(await first.next() == .subscribed)
                let two = subscriber.subscribe(channel, second.handler)
                #expect(await second.next() == .subscribed)
                #expect(try await client.send(RedisCommand("PUBLISH", channel, "both")).int == 1)
                #expect(await first.next() == .text("both"))
                #expect(await second.next() == .text("both"))
                one.cancel()
                #expect(try await client.send(RedisCommand("PUBLISH", channel, "second alone")).int == 1)
                #expect(await second.next() == .text("second alone"))
                two.cancel()
                try await eventually("still subscribed") { try await client.send(RedisCommand("PUBLISH", channel, "nobody")).int == 0 }
            }
        }
    }

    @Test("a cancelled or released subscription gets nothing more and leaves the channel")
    func unsubscribe() async throws {
        let url = try await SharedRedis.url
        try await withClient(url) { client in
            try await withSubscriber(url) { subscriber in
                let channel = uniqueKey("leave")
                var pushes = Pushes()
                var released: RedisSubscription? = subscriber.subscribe(channel, pushes.handler)
                #expect(await pushes.next() == .subscribed)
                #expect(released != nil)
                released = nil
                try await eventually("still subscribed") { try await client.send(RedisCommand("PUBLISH", channel, "x")).int == 0 }
                var again = Pushes()
                let subscription = subscriber.subscribe(channel, again.handler)
                #expect(await again.next() == .subscribed)
                // Another of the same channel keeps it subscribed, so that only the cancellation can keep the message away.
                var other = Pushes()
                let kept = subscriber.subscribe(channel, other.handler)
                #expect(await other.next() == .subscribed)
                subscription.cancel()
                subscription.cancel()
                #expect(try await client.send(RedisCommand("PUBLISH", channel, "after cancel")).int == 1)
                #expect(await other.next() == .text("after cancel"))
                again.end()
                #expect(await again.next() == nil)
                kept.cancel()
            }
        }
    }

    @Test("subscribing and cancelling while commands are in flight ends in the state that was wanted last")
    func inFlight() async throws {
        let url = try await SharedRedis.url
        try await withClient(url) { client in
            try await withSubscriber(url) { subscriber in
                let channel = uniqueKey("flight")
                for _ in 0..<500 {
                    let brief = subscriber.subscribe(channel) { _ in }
                    await Task.yield()
                    brief.cancel()
                    await Task.yield()
                }
                var pushes = Pushes()
                let subscription = subscriber.subscribe(channel, pushes.handler)
                #expect(await pushes.next() == .subscribed)
                #expect(try await client.send(RedisCommand("PUBLISH", channel, "once")).int == 1)
                #expect(await pushes.next() == .text("once"))
                subscription.cancel()
                try await eventually("still subscribed") { try await client.send(RedisCommand("PUBLISH", channel, "x")).int == 0 }
            }
        }
    }

    @Test("a killed connection is told, subscribed again, and carries messages again")
    func killed() async throws {
        let server = try await ThrowawayRedis.start()
        defer { server.remove() }
        try await withClient(server.url) { client in
            try await withSubscriber(server.url) { subscriber in
                var first = Pushes()
                var second = Pushes()
                let subscriptions = [subscriber.subscribe("one", first.handler), subscriber.subscribe("two", second.handler)]
                #expect(await first.next() == .subscribed)
                #expect(await second.next() == .subscribed)
                for round in 0..<3 {
                    _ = try await client.send(RedisCommand("CLIENT", "KILL", "TYPE", "pubsub"))
                    #expect(await first.next() == .disconnected)
                    #expect(await second.next() == .disconnected)
                    #expect(await first.next() == .subscribed)
                    #expect(await second.next() == .subscribed)
                    #expect(try await client.send(RedisCommand("PUBLISH", "one", "round \(round)")).int == 1)
                    #expect(try await client.send(RedisCommand("PUBLISH", "two", "round \(round)")).int == 1)
                    #expect(await first.next() == .text("round \(round)"))
                    #expect(await second.next() == .text("round \(round)"))
                }
                withExtendedLifetime(subscriptions) {}
            }
        }
    }

    @Test("a server that is killed and comes back has all its channels again")
    func restarted() async throws {
        let server = try await ThrowawayRedis.start()
        defer { server.remove() }
        try await withClient(server.url) { client in
            try await withSubscriber(server.url) { subscriber in
                var kept = Pushes()
                let late = Mutex<[RedisPush]>([])
                let subscription = subscriber.subscribe("kept", kept.handler)
                let left = subscriber.subscribe("left") { push in late.withLock { $0.append(push) } }
                #expect(await kept.next() == .subscribed)
                server.kill()
                #expect(await kept.next() == .disconnected)
                // What is canceled or begun while there is no server holds once there is one.
                left.cancel()
                var begun = Pushes()
                let other = subscriber.subscribe("begun", begun.handler)
                try await server.start()
                #expect(await kept.next() == .subscribed)
                #expect(await begun.next() == .subscribed)
                try await eventually("the client is not back") { client.isConnected }
                #expect(try await client.send(RedisCommand("PUBLISH", "kept", "a")).int == 1)
                #expect(try await client.send(RedisCommand("PUBLISH", "begun", "b")).int == 1)
                #expect(try await client.send(RedisCommand("PUBLISH", "left", "c")).int == 0)
                #expect(await kept.next() == .text("a"))
                #expect(await begun.next() == .text("b"))
                #expect(late.withLock { !$0.contains(.text("c")) })
                withExtendedLifetime((subscription, other)) {}
            }
        }
    }

    @Test("ten thousand channels are subscribed at once, and again after a loss")
    func manyChannels() async throws {
        let server = try await ThrowawayRedis.start()
        defer { server.remove() }
        try await withClient(server.url) { client in
            try await withSubscriber(server.url) { subscriber in
                let confirmed = Atomic(0)
                let messages = Atomic(0)
                let subscriptions = (0..<10_000).map { index in
                    subscriber.subscribe("channel:\(index)") { push in
                        switch push {
                        case .subscribed: confirmed.add(1, ordering: .relaxed)
                        case .message: messages.add(1, ordering: .relaxed)
                        case .disconnected: break
                        }
                    }
                }
                try await eventually("not all confirmed") { confirmed.load(ordering: .acquiring) == 10_000 }
                let publish = (0..<10_000).map { RedisCommand("PUBLISH", "channel:\($0)", "m") }
                #expect(try await client.pipeline(publish).allSatisfy { $0.int == 1 })
                try await eventually("not all delivered") { messages.load(ordering: .acquiring) == 10_000 }
                _ = try await client.send(RedisCommand("CLIENT", "KILL", "TYPE", "pubsub"))
                try await eventually("not all confirmed again") { confirmed.load(ordering: .acquiring) == 20_000 }
                #expect(try await client.pipeline(publish).allSatisfy { $0.int == 1 })
                try await eventually("not all delivered again") { messages.load(ordering: .acquiring) == 20_000 }
                for subscription in subscriptions { subscription.cancel() }
                try await eventually("channels left") { try await client.send(RedisCommand("PUBSUB", "CHANNELS")).array?.isEmpty == true }
            }
        }
    }

    @Test("an idle connection stays up as long as the server answers PING")
    func keepAlive() async throws {
        let server = try await ThrowawayRedis.start()
        defer { server.remove() }
        try await withClient(server.url) { client in
            try await withSubscriber(server.url, { $0.keepAliveMilliseconds = 6_000 }) { subscriber in
                var pushes = Pushes()
                let subscription = subscriber.subscribe("idle", pushes.handler)
                #expect(await pushes.next() == .subscribed)
                let before = try await pings(client)
                try await eventually("no PING") { try await self.pings(client) > before + 1 }
                _ = try await client.send(RedisCommand("PUBLISH", "idle", "still here"))
                #expect(await pushes.next() == .text("still here"))
                subscription.cancel()
            }
        }
    }

    private func pings(_ client: RedisClient) async throws -> Int {
        let info = try await client.send(RedisCommand("INFO", "commandstats")).string ?? ""
        guard let line = info.split(separator: "\r\n").first(where: { $0.hasPrefix("cmdstat_ping:calls=") }) else { return 0 }
        return Int(line.dropFirst("cmdstat_ping:calls=".count).prefix { $0 != "," }) ?? 0
    }

    @Test("a peer that is silent is noticed by PING and replaced")
    func deadPeer() async throws {
        let confirmation = "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"
        let server = try await FakeRedis.start { _, received in received.hasSuffix("$1\r\nc\r\n") ? confirmation : nil }
        try await withSubscriber(server.url, { $0.keepAliveMilliseconds = 50 }) { subscriber in
            var pushes = Pushes()
            let subscription = subscriber.subscribe("c", pushes.handler)
            for expected in [RedisPush.subscribed, .disconnected, .subscribed, .disconnected] { #expect(await pushes.next() == expected) }
            #expect(server.connections >= 2)
            subscription.cancel()
        }
        try await server.stop()
    }

    @Test("a confirmation nobody asked for ends the connection")
    func strayConfirmation() async throws {
        let server = try await FakeRedis.start { connection, _ in
            connection == 1 ? "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n" : "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"
        }
        try await withSubscriber(server.url) { subscriber in
            var pushes = Pushes()
            let subscription = subscriber.subscribe("c", pushes.handler)
            #expect(await pushes.next() == .subscribed)
            #expect(server.connections >= 2)
            subscription.cancel()
        }
        try await server.stop()
    }

    @Test("a late confirmation of an earlier command confirms nothing")
    func lateConfirmation() throws {
        var table = SubscriptionTable()
        let name = ChannelName(text: "c")
        let first = Listener(channel: "c") { _ in }
        let second = Listener(channel: "c") { _ in }
        table.connected()
        let firstIsConfirmed = table.add(first)
        #expect(!firstIsConfirmed)
        let step1 = table.takeChanges().subscribe
        #expect(step1 == [name])
        table.remove(first)
        let step2 = table.takeChanges().unsubscribe
        #expect(step2 == [name])
        let secondIsConfirmed = table.add(second)
        #expect(!secondIsConfirmed)
        let step3 = table.takeChanges().subscribe
        #expect(step3 == [name])
        let step4 = try table.confirmed(name, isSubscribe: true)
        #expect(step4.isEmpty)
        #expect(table.listeners(of: name).isEmpty)
        let step5 = try table.confirmed(name, isSubscribe: false)
        #expect(step5.isEmpty)
        let step6 = try table.confirmed(name, isSubscribe: true)
        #expect(step6.count == 1)
        #expect(table.listeners(of: name).count == 1)
        table.remove(second)
        let step7 = table.takeChanges().unsubscribe
        #expect(step7 == [name])
        let step8 = try table.confirmed(name, isSubscribe: false)
        #expect(step8.isEmpty)
        #expect(table.channels.isEmpty)
    }
}
