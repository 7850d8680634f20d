import AsyncHTTPClient
import Domain
import NIOCore
import Synchronization

/// HTTP clients that each know one tenant's way to one port of one host at one checked address, so that no name is resolved a second
/// time on the way and no tenant speaks over a connection of another's. Kept for their idle connections; the least recently used go first.
final class PinnedClients: Sendable {
    struct Key: Hashable, Sendable {
        let tenantID: TenantID
        let host: OutboundHost
        let port: Int
        let address: IPAddress
    }

    private struct Entry {
        let client: HTTPClient
        var leases = 0
        var lastUse: UInt64
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        var uses: UInt64 = 0
        var isShutDown = false
        /// Ends of clients that went; the last one says when all are gone.
        var ending = 0
        var whenEnded: EventLoopPromise<Void>?
    }

    private let loops: any EventLoopGroup
    private let state = Mutex(State())

    init(loops: any EventLoopGroup) { self.loops = loops }

    var count: Int { state.withLock { $0.entries.count } }

    /// Held for as long as its client is used: by the response's body, until that is read or dropped.
    final class Lease: Sendable {
        let client: HTTPClient
        private let key: Key
        private let clients: PinnedClients

        fileprivate init(client: HTTPClient, key: Key, clients: PinnedClients) {
            self.client = client
            self.key = key
            self.clients = clients
        }

        deinit { clients.giveBack(key) }
    }

    func lease(_ key: Key) throws(EgressError) -> Lease {
        var surplus: [HTTPClient] = []
        let client = state.withLock { state -> HTTPClient? in
            guard !state.isShutDown else { return nil }
            state.uses += 1
            if state.entries[key] == nil {
                state.entries[key] = Entry(client: Self.makeClient(key, loops), lastUse: 0)
            }
            state.entries[key]?.leases += 1
            state.entries[key]?.lastUse = state.uses
            surplus = Self.takeSurplus(&state)
            return state.entries[key]?.client
        }
        end(surplus)
        guard let client else { throw .busy }
        return Lease(client: client, key: key, clients: self)
    }

    private func giveBack(_ key: Key) {
        let ended = state.withLock { state -> [HTTPClient] in
            state.entries[key]?.leases -= 1
            if state.isShutDown {
                guard let entry = state.entries[key], entry.leases == 0 else { return [] }
                state.entries[key] = nil
                state.ending += 1
                return [entry.client]
            }
            return Self.takeSurplus(&state)
        }
        end(ended)
    }

    /// Those beyond the bound that nobody uses.
    private static func takeSurplus(_ state: inout State) -> [HTTPClient] {
        var taken: [HTTPClient] = []
        while state.entries.count > Limits.maxPinnedClients,
            let oldest = state.entries.lazy.filter({ $0.value.leases == 0 }).min(by: { $0.value.lastUse < $1.value.lastUse })
        {
            state.entries[oldest.key] = nil
            taken.append(oldest.value.client)
        }
        state.ending += taken.count
        return taken
    }

    private func end(_ clients: [HTTPClient]) {
        for client in clients {
            client.shutdown().whenComplete { _ in
                let promise = self.state.withLock { state -> EventLoopPromise<Void>? in
                    state.ending -= 1
                    guard state.isShutDown, state.ending == 0 else { return nil }
                    defer { state.whenEnded = nil }
                    return state.whenEnded
                }
                promise?.succeed(())
            }
        }
    }

    /// Ends all of them, with what is under way on them.
    func shutDown() async {
        let promise = loops.any().makePromise(of: Void.self)
        let clients = state.withLock { state -> [HTTPClient] in
            state.isShutDown = true
            let clients = state.entries.values.map(\.client)
            state.entries.removeAll()
            state.ending += clients.count
            if state.ending > 0 { state.whenEnded = promise }
            return clients
        }
        if state.withLock({ $0.ending == 0 }) { promise.succeed(()) }
        end(clients)
        try? await promise.futureResult.get()
    }

    private static func makeClient(_ key: Key, _ loops: any EventLoopGroup) -> HTTPClient {
        var configuration = HTTPClient.Configuration(
            redirectConfiguration: .disallow, timeout: .init(connect: .seconds(Int64(Limits.connectSeconds))), decompression: .disabled)
        // The second wall below runs for HTTP/1.1 connections.
        configuration.httpVersion = .http1Only
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = Limits.maxConnectionsPerHost
        configuration.connectionPool.retryConnectionEstablishment = false
        if case .name(let name) = key.host { configuration.dnsOverride = [name: key.address.description] }
        // Whatever the client made of the URL: a connection to another address than the checked one carries nothing.
        configuration.http1_1ConnectionDebugInitializer = { channel in
            guard let peer = channel.remoteAddress?.ipAddress, IPAddress(peer) == key.address else {
                return channel.eventLoop.makeFailedFuture(EgressError(.unreachable, "The connection was refused.", cause: "not pinned"))
            }
            return channel.eventLoop.makeSucceededVoidFuture()
        }
        return HTTPClient(eventLoopGroupProvider: .shared(loops), configuration: configuration)
    }
}
