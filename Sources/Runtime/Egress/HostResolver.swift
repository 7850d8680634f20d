public import Domain
import Glibc
import NIOCore
import NIOPosix
import Synchronization

/// What a name stands for. Tests have one of their own, which changes its answers as an attacker's would.
public protocol HostResolver: Sendable {
    /// All addresses, in the order in which they should be tried; never empty.
    func addresses(of name: String) async throws(EgressError) -> [IPAddress]
}

/// getaddrinfo, on threads of its own: its answers are kept for some seconds, and those who wait are bounded in number and time.
final class SystemResolver: HostResolver {
    private struct Answer {
        let addresses: [IPAddress]
        let at: ContinuousClock.Instant
    }

    private struct State {
        var answers: [String: Answer] = [:]
        var waiting = 0
    }

    private let threads: NIOThreadPool
    private let loops: any EventLoopGroup
    private let state = Mutex(State())

    init(loops: any EventLoopGroup) {
        self.loops = loops
        threads = NIOThreadPool(numberOfThreads: Limits.resolverThreads)
        threads.start()
    }

    func shutDown() { threads.shutdownGracefully { _ in } }

    func addresses(of name: String) async throws(EgressError) -> [IPAddress] {
        let now = ContinuousClock.now
        let (known, mayAsk) = state.withLock { state -> ([IPAddress]?, Bool) in
            if let answer = state.answers[name], now - answer.at < .seconds(Limits.resolvedSeconds) { return (answer.addresses, false) }
            guard state.waiting < Limits.maxWaitingResolutions else { return (nil, false) }
            state.waiting += 1
            return (nil, true)
        }
        if let known { return known }
        guard mayAsk else { throw .busy }
        let promise = loops.any().makePromise(of: [IPAddress]?.self)
        let timer = loops.any().scheduleTask(in: .seconds(Int64(Limits.resolveSeconds))) { promise.succeed(nil) }
        threads.submit { work in
            self.state.withLock { $0.waiting -= 1 }
            // The first to succeed counts: an answer that comes after the timer is for nobody.
            promise.succeed(work == .active ? Self.lookUp(name) : nil)
        }
        let found = (try? await promise.futureResult.get()) ?? nil
        timer.cancel()
        guard let found, !found.isEmpty else { throw .unresolved(name) }
        keep(Answer(addresses: found, at: now), name)
        return found
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

    /// nil when the name has no address, or one that cannot be judged.
    private static func lookUp(_ name: String) -> [IPAddress]? {
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
