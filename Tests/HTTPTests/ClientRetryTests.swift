import Domain
import HsafaClient
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

/// The client's own repetitions, against a road on which answers get lost.
@Suite(.timeLimit(.minutes(5)))
struct ClientRetryTests {
    /// Passes bytes on, and cuts the connection where the first answers to POSTs would come back: the gateway has committed by then.
    final class LossyRoad: Sendable {
        private final class Cut: Sendable {
            let left: Mutex<Int>
            let cut = Mutex(0)
            init(_ count: Int) { left = Mutex(count) }

            func takes() -> Bool {
                let isCut = left.withLock { left -> Bool in
                    guard left > 0 else { return false }
                    left -= 1
                    return true
                }
                if isCut { cut.withLock { $0 += 1 } }
                return isCut
            }
        }

        private let server: any Channel
        private let losses: Cut

        var port: Int { server.localAddress?.port ?? 0 }
        var lost: Int { losses.cut.withLock { $0 } }

        init(to target: Int, losing count: Int) async throws {
            let losses = Cut(count)
            self.losses = losses
            server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .childChannelInitializer { client in
                    ClientBootstrap(group: client.eventLoop)
                        .connect(host: "127.0.0.1", port: target)
                        .flatMapThrowing { gateway in
                            try client.pipeline.syncOperations.addHandler(Forward(to: gateway, losses: nil))
                            try gateway.pipeline.syncOperations.addHandler(Forward(to: client, losses: losses))
                        }
                }
                .bind(host: "127.0.0.1", port: 0).get()
        }

        func close() async { try? await server.close() }

        private final class Forward: ChannelInboundHandler {
            typealias InboundIn = ByteBuffer
            private let other: any Channel
            private let losses: Cut?

            init(to other: any Channel, losses: Cut?) {
                self.other = other
                self.losses = losses
            }

            func channelRead(context: ChannelHandlerContext, data: NIOAny) {
                if let losses, losses.takes() {
                    other.close(promise: nil)
                    return context.close(promise: nil)
                }
                other.writeAndFlush(unwrapInboundIn(data), promise: nil)
            }

            func channelInactive(context: ChannelHandlerContext) { other.close(promise: nil) }
        }
    }

    private func lossy<R>(_ tenant: TestTenant, losing count: Int, _ body: (HsafaClient, LossyRoad) async throws -> R) async throws -> R {
        let road = try await LossyRoad(to: tenant.gateway.port, losing: count)
        let client = HsafaClient(
            baseURL: "http://127.0.0.1:\(road.port)", apiKey: tenant.key, httpClient: HsafaClient.makeHTTPClient())
        do {
            let result = try await body(client, road)
            await client.shutdown()
            await road.close()
            return result
        } catch {
            await client.shutdown()
            await road.close()
            throw error
        }
    }

    @Test func `an answer that is lost after the commit is fetched again, and nothing is made twice`() async throws {
        let tenant = try await TestTenant.make()
        try await tenant.agent(steps: [Config.says])
        for losses in 1...2 {
            try await lossy(tenant, losing: losses) { client, road in
                let run = try await client.runs.create(agent: .name("tester"), messages: [.user("Hi")])
                #expect(road.lost == losses)
                let runs = try await tenant.client.runs.list()
                #expect(runs.items.count == losses, "one for each round")
                #expect(runs.items.first?.runId == run.runId)
            }
        }
        try await lossy(tenant, losing: 1) { client, _ in
            let agent = try await client.agents.create(name: "once", config: Config.simulated("once", steps: [Config.says]))
            #expect(try await tenant.client.agents.list().items.filter { $0.name == "once" }.map(\.agentId) == [agent.agentId])
        }
    }

    @Test func `a secret that was lost on its way is said to be lost`() async throws {
        let tenant = try await TestTenant.make()
        try await lossy(tenant, losing: 1) { client, _ in
            let error = await #expect(throws: HsafaClientError.self) { try await client.enrollmentTokens.create() }
            #expect(error?.code == "already_created")
        }
    }

    @Test func `the client gives up after its retries, and what does not create is not repeated`() async throws {
        let tenant = try await TestTenant.make()
        try await lossy(tenant, losing: 3) { client, road in
            let error = await #expect(throws: HsafaClientError.self) { try await client.agents.create(name: "a") }
            #expect(error?.isUnreachable == true)
            #expect(road.lost == 3)
        }
        #expect(try await tenant.client.agents.list().items.count == 1, "three times asked, once made")
        try await lossy(tenant, losing: 1) { client, road in
            await #expect(throws: HsafaClientError.self) { try await client.runs.cancel(unknownID()) }
            #expect(road.lost == 1)
        }
    }
}
