import Domain
import NIOCore
import Runtime
import Synchronization

/// How many connections each client's address has open, so that one of them cannot take all that the listener has. IPv6 counts by /64. A
/// trusted proxy brings many clients and is not counted; nor is who has no address.
final class AddressShares: Sendable {
    private let most: Int
    private let proxies: TrustedProxies
    /// As many entries as there are connections, at most.
    private let open = Mutex<[IPAddress: Int]>([:])

    /// - Parameter most: of one address; `Limits.maxConnections` is no bound of its own.
    init(most: Int, proxies: TrustedProxies, metrics: MetricsRegistry? = nil) {
        self.most = most
        self.proxies = proxies
        metrics?.gauge("hsafa_connection_addresses", help: "Client addresses that have connections open.") { [weak self] in
            Double(self?.open.withLock { $0.count } ?? 0)
        }
    }

    enum Entry: Equatable {
        case refused
        case uncounted
        /// To be given to `leave` once, at the connection's end.
        case counted(IPAddress)
    }

    func enter(_ peer: IPAddress?) -> Entry {
        guard let peer, !proxies.trusts(peer) else { return .uncounted }
        let address = peer.subscriber
        return open.withLock { open in
            let count = open[address] ?? 0
            guard count < most else { return .refused }
            open[address] = count + 1
            return .counted(address)
        }
    }

    func leave(_ address: IPAddress) {
        open.withLock { open in
            let rest = (open[address] ?? 1) - 1
            open[address] = rest > 0 ? rest : nil
        }
    }

    func count(_ address: IPAddress) -> Int { open.withLock { $0[address.subscriber] ?? 0 } }
}

/// Stands before everything else, TLS included: ends a connection whose address has its share already, before it costs a handshake.
final class AddressGate: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = NIOAny
    typealias InboundOut = NIOAny

    private let shares: AddressShares
    private let refusals: RefusalLog

    init(shares: AddressShares, refusals: RefusalLog) {
        self.shares = shares
        self.refusals = refusals
    }

    func channelActive(context: ChannelHandlerContext) {
        switch shares.enter(context.channel.remoteAddress?.ipAddress.flatMap { IPAddress($0) }) {
        case .refused:
            refusals.note(.addressConnections, context.channel.remoteAddress)
            return context.close(promise: nil)
        case .uncounted: break
        case .counted(let address): context.channel.closeFuture.whenComplete { [shares] _ in shares.leave(address) }
        }
        context.fireChannelActive()
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }
}
