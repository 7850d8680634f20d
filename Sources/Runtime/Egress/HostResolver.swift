public import Domain
import Glibc
import NIOCore
import NIOPosix
import Synchronization

/// What a name stands for. Tests have one of their own, which changes its answers as an attacker's would.
public protocol HostResolver: Sendable {
    /// All addresses, in the order in which they should be tried; never empty.
    ///
    /// - Parameter tenant: whose request asks.
    func addresses(of name: String, for tenant: TenantID) async throws(EgressError) -> [IPAddress]
}

/// getaddrinfo, on threads of its own: its answers are kept for some seconds, and those who wait are bounded in number and time.
final class SystemResolver: HostResolver {
    private struct Answer {
        let addresses: [IPAddress]
        let at: ContinuousClock.Instant
    }

    private struct LookUp {
        let name: String
        let promise: EventLoopPromise<[IPAddress]?>
    }

    private struct State {
        var answers: [String: Answer] = [:]
        var turns = ResolverTurns<LookUp>(threads: Limits.resolverThreads)
    }

    private enum Entry {
        case known([IPAddress])
        case waits(id: Int, EventLoopFuture<[IPAddress]?>)
        case full
    }

    private let threads: NIOThreadPool
    private let loops: any EventLoopGroup
    private let ask: @Sendable (String) -> [IPAddress]?
    private let state = Mutex(State())

    /// - Parameter ask: takes as long as it takes; nil when the name has no address, or one that cannot be judged.
    init(loops: any EventLoopGroup, ask: @escaping @Sendable (String) -> [IPAddress]? = { SystemResolver.lookUp($0) }) {
        self.loops = loops
        self.ask = ask
        threads = NIOThreadPool(numberOfThreads: Limits.resolverThreads)
        threads.start()
    }

    func shutDown() { threads.shutdownGracefully { _ in } }

    func addresses(of name: String, for tenant: TenantID) async throws(EgressError) -> [IPAddress] {
        let now = ContinuousClock.now
        switch enter(name, tenant, now) {
        case .known(let addresses): return addresses
        case .full: throw .busy
        case .waits(let id, let future):
            begin()
            let found = (try? await future.get()) ?? nil
            state.withLock { $0.turns.leave(id) }
            guard let found, !found.isEmpty else { throw .unresolved(name) }
            keep(Answer(addresses: found, at: now), name)
            return found
        }
    }

    private func enter(_ name: String, _ tenant: TenantID, _ now: ContinuousClock.Instant) -> Entry {
        let loop = loops.any()
        let promise = loop.makePromise(of: [IPAddress]?.self)
        let entry = state.withLock { state -> Entry in
            if let answer = state.answers[name], now - answer.at < .seconds(Limits.resolvedSeconds) { return .known(answer.addresses) }
            guard let id = state.turns.enter(LookUp(name: name, promise: promise), of: tenant) else { return .full }
            return .waits(id: id, promise.futureResult)
        }
        guard case .waits = entry else {
            promise.succeed(nil)
            return entry
        }
        // The first to succeed counts: an answer that comes after the timer is for nobody.
        let timer = loop.scheduleTask(in: .seconds(Int64(Limits.resolveSeconds))) { promise.succeed(nil) }
        promise.futureResult.whenComplete { _ in timer.cancel() }
        return entry
    }

    /// Those whose turn it is. One whose time was over before is gone from the queue.
    private func begin() {
        while let (lookUp, tenant) = state.withLock({ $0.turns.next() }) {
            threads.submit { work in
                lookUp.promise.succeed(work == .active ? self.ask(lookUp.name) : nil)
                self.state.withLock { $0.turns.ended(of: tenant) }
                self.begin()
            }
        }
    }

    private func keep(_ answer: Answer, _ name: String) {
        state.withLock { state in
            if state.answers.count >= Limits.maxResolvedNames {
                state.answers = state.answers.filter { answer.at - $0.value.at < .seconds(Limits.resolvedSeconds) }
                if state.answers.count >= Limits.maxResolvedNames { state.answers.removeAll() }
            }
            state.answers[name] = answer
        }
    }

    static func lookUp(_ name: String) -> [IPAddress]? {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        // The final dot keeps the search domains of /etc/resolv.conf out; names without a dot (a container's) need them.
        guard getaddrinfo(name.contains(".") ? name + "." : name, nil, &hints, &list) == 0 else { return nil }
        defer { freeaddrinfo(list) }
        var addresses: [IPAddress] = []
        var next = list
        while let entry = next, addresses.count < Limits.maxAddressesOfHost {
            next = entry.pointee.ai_next
            guard let socketAddress = entry.pointee.ai_addr, let address = read(socketAddress) else { return nil }
            if !addresses.contains(address) { addresses.append(address) }
        }
        return addresses
    }

    private static func read(_ address: UnsafeMutablePointer<sockaddr>) -> IPAddress? {
        var text = [CChar](repeating: 0, count: 64)
        switch Int32(address.pointee.sa_family) {
        case AF_INET:
            return address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { four in
                inet_ntop(AF_INET, &four.pointee.sin_addr, &text, socklen_t(text.count)) == nil ? nil : IPAddress(Self.string(text))
            }
        case AF_INET6:
            return address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { six in
                inet_ntop(AF_INET6, &six.pointee.sin6_addr, &text, socklen_t(text.count)) == nil ? nil : IPAddress(Self.string(text))
            }
        default: return nil
        }
    }

    private static func string(_ text: [CChar]) -> String {
        String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
