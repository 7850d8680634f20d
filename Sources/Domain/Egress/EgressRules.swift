/// Where the gateway may send requests for a tenant: `egress:` of the policies.
public struct EgressRules: Sendable, Hashable {
    /// What holds for a host that nothing lists.
    public enum Default: String, Sendable, Hashable {
        /// Every public address.
        case `public`
        case deny
    }

    public struct Allowance: Sendable, Hashable {
        /// Over slugs; nil: every tenant.
        public let tenants: [Glob]?
        public let hosts: [HostPattern]

        public init(tenants: [Glob]?, hosts: [HostPattern]) {
            self.tenants = tenants
            self.hosts = hosts
        }
    }

    public let byDefault: Default
    public let allowances: [Allowance]

    public init(byDefault: Default, allowances: [Allowance] = []) {
        self.byDefault = byDefault
        self.allowances = allowances
    }

    /// The same default, with more that is open.
    public func adding(_ more: [Allowance]) -> EgressRules { EgressRules(byDefault: byDefault, allowances: allowances + more) }

    public static let publicAddresses = EgressRules(byDefault: .public)
    public static let nothing = EgressRules(byDefault: .deny)

    /// An address is open where an address or a block lists it; a public one also by default, or where the host's name is listed.
    /// A name never opens an address that is not public, and one bad address among several refuses the host.
    ///
    /// - Parameter addresses: all that the host's name resolved to, or the one that stands in the URL.
    public func decide(_ host: OutboundHost, port: Int, addresses: [IPAddress], tenantSlug: String) -> EgressVerdict {
        let hosts = allowances.filter { $0.tenants?.contains { $0.matches(tenantSlug) } ?? true }.flatMap(\.hosts)
        guard !addresses.isEmpty else { return .refused(.noAddress) }
        if case .address(let literal) = host, addresses.contains(where: { $0 != literal }) { return .refused(.noAddress) }
        let isHostOpen = byDefault == .public || hosts.contains { $0.names(host, port: port) }
        for address in addresses where !hosts.contains(where: { $0.lists(address, port: port) }) {
            let kind = address.kind
            guard kind == .public else { return .refused(.notPublic(kind, address)) }
            guard isHostOpen else { return .refused(.notListed) }
        }
        return .allowed
    }

    /// Whether a host can be open at all, before its name is resolved: saves asking a resolver about a host that is not listed, which
    /// would itself tell somebody of it.
    public func mayOpen(_ host: OutboundHost, port: Int, tenantSlug: String) -> Bool {
        if case .address(let address) = host {
            return decide(host, port: port, addresses: [address], tenantSlug: tenantSlug) == .allowed
        }
        if byDefault == .public { return true }
        let hosts = allowances.filter { $0.tenants?.contains { $0.matches(tenantSlug) } ?? true }.flatMap(\.hosts)
        // A listed address may be what the name stands for.
        return hosts.contains { $0.names(host, port: port) || $0.isAddress }
    }
}

public enum EgressVerdict: Sendable, Hashable {
    case allowed
    case refused(EgressRefusal)

    public var isAllowed: Bool { self == .allowed }

    /// What holds when two layers were asked: nothing is open that one of them closes.
    public func stricter(_ other: EgressVerdict) -> EgressVerdict { isAllowed ? other : self }
}

public enum EgressRefusal: Sendable, Hashable, Error {
    case notListed
    /// The address is for the log: what a name resolved to inside this network is nobody else's business.
    case notPublic(AddressKind, IPAddress)
    case noAddress

    /// Reads after the name of the host; safe to show.
    public var message: String {
        switch self {
        case .notListed: "is not among the hosts that this gateway's policies open"
        case .notPublic: "has no public address, and this gateway's policies list no other"
        case .noAddress: "has no address"
        }
    }
}
