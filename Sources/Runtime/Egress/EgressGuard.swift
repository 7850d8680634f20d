public import AsyncHTTPClient
public import Domain
import Glibc
import Logging
import NIOCore
import NIOPosix

/// The only way out of this process by HTTP: a host's name is resolved once, every address of it is judged by the policies, and the
/// connection goes to an address that was judged, whatever the name stands for a moment later. TLS is spoken with the name.
public final class EgressGuard: Sendable {
    private let rules: @Sendable () -> EgressRules
    private let tenantRules: @Sendable (TenantScope) async throws -> EgressRules?
    private let resolver: any HostResolver
    private let clients: PinnedClients
    private let refusals: MetricCounter
    private let logger: Logger

    init(
        loops: any EventLoopGroup, resolver: (any HostResolver)?, rules: @escaping @Sendable () -> EgressRules,
        tenantRules: @escaping @Sendable (TenantScope) async throws -> EgressRules? = { _ in nil }, metrics: MetricsRegistry, logger: Logger
    ) {
        self.rules = rules
        self.tenantRules = tenantRules
        self.resolver = resolver ?? SystemResolver(loops: loops)
        clients = PinnedClients(loops: loops)
        refusals = metrics.counter("hsafa_egress_refusals_total", help: "Requests that policy did not let out of the gateway.")
        self.logger = logger
    }

    /// Ways to hosts whose connections are kept.
    var openWays: Int { clients.count }

    func shutDown() async {
        await clients.shutDown()
        (resolver as? SystemResolver)?.shutDown()
    }

    /// One request of a tenant, its URL judged; a redirect is an answer like another. The body streams, and holds its connection
    /// until it is read or dropped.
    ///
    /// - Parameter timeout: until the response's head; the body is the caller's to bound.
    public func open(_ request: HTTPClientRequest, timeout: Duration, for tenant: TenantScope) async throws -> HTTPClientResponse {
        let url: OutboundURL
        do throws(OutboundURLError) { url = try OutboundURL(request.url) } catch {
            throw EgressError(.invalidURL, "The URL \(error.message).")
        }
        var request = request
        // In its one normal form, so that the client finds no other host in it than was judged.
        request.url = url.description
        let addresses = try await judge(url, for: tenant)
        let deadline = ContinuousClock.now + timeout
        var failure: any Error = EgressError.unresolved("\(url.host)")
        for address in addresses.prefix(Limits.maxAddressesTried) {
            let lease = try clients.lease(
                PinnedClients.Key(tenantID: tenant.tenantID, host: url.host, port: url.port, address: address))
            do {
                let left = max(deadline - .now, .milliseconds(1))
                var response = try await lease.client.execute(request, timeout: .nanoseconds(left.boundedNanoseconds), logger: nil)
                response.body = .stream(LeasedBody(base: response.body, lease: lease))
                return response
            } catch {
                try Task.checkCancellation()
                failure = error
                // Only where nothing was sent: the next address gets the same request.
                guard Self.didNotConnect(error), deadline > .now else { break }
            }
        }
        throw Self.translate(failure, url)
    }

    /// `open` for those who know neither tenants nor this type.
    public func exchange(for tenant: TenantScope) -> @Sendable (HTTPClientRequest, Duration) async throws -> HTTPClientResponse {
        { [self] request, timeout in try await open(request, timeout: timeout, for: tenant) }
    }

    /// The addresses that a connection may go to.
    private func judge(_ url: OutboundURL, for tenant: TenantScope) async throws(EgressError) -> [IPAddress] {
        // The operator's, then the tenant's own, which can only narrow them.
        var layers = [rules()]
        do { if let own = try await tenantRules(tenant) { layers.append(own) } } catch {
            throw EgressError(.busy, "The tenant's policies cannot be read right now; try again.", cause: "\(error)")
        }
        for rules in layers where !rules.mayOpen(url.host, port: url.port, tenantSlug: tenant.slug) {
            throw refuse(.notListed, url, rules, tenant)
        }
        let addresses: [IPAddress] =
            switch url.host {
            case .address(let address): [address]
            case .name(let name): try await resolver.addresses(of: name, for: tenant.tenantID)
            }
        for rules in layers {
            if case .refused(let refusal) = rules.decide(url.host, port: url.port, addresses: addresses, tenantSlug: tenant.slug) {
                throw refuse(refusal, url, rules, tenant)
            }
        }
        return addresses
    }

    private func refuse(_ refusal: EgressRefusal, _ url: OutboundURL, _ rules: EgressRules, _ tenant: TenantScope) -> EgressError {
        var refusal = refusal
        if case .address(let address) = url.host,
            case .refused(let exact) = rules.decide(url.host, port: url.port, addresses: [address], tenantSlug: tenant.slug)
        {
            refusal = exact
        }
        refusals.add()
        logger.info(
            "egress refused", metadata: ["tenant": "\(tenant.tenantID)", "host": "\(url.authority)", "cause": "\(refusal)"])
        return .refused(refusal, url)
    }

    private static func didNotConnect(_ error: any Error) -> Bool {
        if let error = error as? HTTPClientError { return error == .connectTimeout }
        guard let error = error as? IOError else { return error is NIOConnectionError }
        return [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EADDRNOTAVAIL].contains(error.errnoCode)
    }

    private static func translate(_ error: any Error, _ url: OutboundURL) -> any Error {
        if error is CancellationError || error is EgressError { return error }
        if let error = error as? HTTPClientError {
            if error == .deadlineExceeded || error == .readTimeout || error == .connectTimeout || error == .getConnectionFromPoolTimeout {
                return EgressError(.timeout, "The host \(url.host) did not answer in time.", cause: "\(error)")
            }
            if error == .cancelled { return CancellationError() }
        }
        return EgressError(.unreachable, "The host \(url.host) cannot be reached, or broke the exchange off.", cause: "\(error)")
    }
}

/// A response's body together with the client that it comes from.
private struct LeasedBody: AsyncSequence, Sendable {
    let base: HTTPClientResponse.Body
    let lease: PinnedClients.Lease

    struct AsyncIterator: AsyncIteratorProtocol {
        var base: HTTPClientResponse.Body.AsyncIterator
        let lease: PinnedClients.Lease

        mutating func next() async throws -> ByteBuffer? { try await base.next() }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(base: base.makeAsyncIterator(), lease: lease) }
}

extension Duration {
    /// Bounded to a day, which no exchange lasts.
    var boundedNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        return min(max(seconds, 0), 86_400) * 1_000_000_000 + attoseconds / 1_000_000_000
    }
}
