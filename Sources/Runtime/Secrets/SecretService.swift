import Cryptography
public import Domain
import JSON
import Logging
public import Storage

/// Secrets of tenants: written, listed without their values, and opened at the moment of their use alone.
public struct SecretService: Sendable {
    private let database: Database
    private let keys: MasterKeys?
    private let logger: Logger

    init(database: Database, keys: MasterKeys?, logger: Logger) {
        self.database = database
        self.keys = keys
        self.logger = logger
    }

    public func list(_ scope: TenantScope, _ page: PageRequest) async throws -> Page<SecretListing> {
        if let cursor = page.cursor, !SecretName.isValid(cursor) {
            throw GatewayError.invalidQuery("cursor", "is not a cursor of this list; leave it out to begin with the first page")
        }
        let rows = try await database.tenant(scope).secrets(limit: page.limit + 1, after: page.cursor)
        return Page(rows: rows, limit: page.limit) { $0.name }
    }

    /// The same value and hosts again: nothing is written, and the audit log has nothing new.
    public func put(
        _ scope: TenantScope, _ name: String, value: String, hosts: [String], by author: ChangeAuthor
    ) async throws -> (listing: SecretListing, isNew: Bool) {
        let keys = try requireKeys()
        try Self.check(name, value, hosts)
        let tenant = database.tenant(scope)
        let seal = SecretSeal(tenant: scope.tenantID, name: name, hosts: hosts)
        if let record = try await tenant.secrets(named: [name]).first, record.hosts == hosts, record.sealed.keyID == keys.current.id,
            (try? seal.open(record.sealed, keys))?.utf8.elementsEqual(value.utf8) == true
        {
            return (record.listing, false)
        }
        let sealed: SealedSecret
        do { sealed = try seal.seal(value, keys) } catch { throw GatewayError.internal("\(error)") }
        guard let put = try await tenant.changes(by: author).putSecret(name, sealed, hosts: hosts) else {
            throw GatewayError.conflict(
                "too_many_secrets", "A tenant has at most \(Limits.maxSecretsPerTenant) secrets; delete some first.")
        }
        return put
    }

    public func delete(_ scope: TenantScope, _ name: String, by author: ChangeAuthor) async throws {
        guard SecretName.isValid(name), try await database.tenant(scope).changes(by: author).deleteSecret(name) else {
            throw GatewayError.notFound("secret")
        }
    }

    private func requireKeys() throws(GatewayError) -> MasterKeys {
        guard let keys else { throw .noMasterKey }
        return keys
    }

    private static func check(_ name: String, _ value: String, _ hosts: [String]) throws(GatewayError) {
        func fail(_ pointer: String, _ message: String) -> GatewayError { .invalidBody(JSONViolation(pointer: pointer, message: message)) }
        guard SecretName.isValid(name) else {
            throw GatewayError(status: 422, code: "invalid_secret_name", detail: "The name of a secret \(SecretName.rule).")
        }
        guard (Limits.minSecretBytes...Limits.maxSecretBytes).contains(value.utf8.count), !value.utf8.contains(0) else {
            throw fail("/value", "must be \(Limits.minSecretBytes) to \(Limits.maxSecretBytes) bytes without NUL")
        }
        guard (1...Limits.maxSecretHosts).contains(hosts.count) else {
            throw fail("/hosts", "must name 1 to \(Limits.maxSecretHosts) hosts to which the secret may be sent")
        }
        for (index, host) in hosts.enumerated() {
            do throws(HostPatternError) { _ = try HostPattern(host) } catch { throw fail("/hosts/\(index)", error.message) }
        }
    }

    // MARK: Use

    /// The values, for the moment of their use. A name that the tenant does not have is left out: whoever needs it says so.
    func open(_ names: Set<String>, _ scope: TenantScope) async throws -> [Secret] {
        guard !names.isEmpty, let keys else { return [] }
        return try await database.tenant(scope).secrets(named: names.sorted()).compactMap { record in
            let seal = SecretSeal(tenant: scope.tenantID, name: record.name, hosts: record.hosts)
            do {
                let value = try seal.open(record.sealed, keys)
                return Secret(name: record.name, value: value, hosts: record.hosts.compactMap { try? HostPattern($0) })
            } catch {
                logger.error(
                    "secret does not open",
                    metadata: ["tenant": "\(scope.tenantID)", "secret": "\(record.name)", "cause": "\(error)"])
                return nil
            }
        }
    }

    /// What of a config could never work: a secret that the tenant does not have, or one that may not go where the config sends it.
    static func violations(of config: AgentConfig, at pointer: String, in tenant: TenantDatabase) async throws -> [JSONViolation] {
        let uses = SecretUse.all(in: config, at: pointer)
        guard !uses.isEmpty else { return [] }
        let names = Set(uses.map(\.name))
        guard names.count <= Limits.maxSecretsPerConfig else {
            return [
                JSONViolation(
                    pointer: pointer, message: "names \(names.count) secrets, and a config can name \(Limits.maxSecretsPerConfig) at most")
            ]
        }
        let records = try await tenant.secrets(named: names.sorted())
        let hosts = Dictionary(records.map { ($0.name, $0.hosts.compactMap { try? HostPattern($0) }) }) { first, _ in first }
        return uses.compactMap { use in
            guard let allowed = hosts[use.name] else {
                return JSONViolation(
                    pointer: use.pointer, message: "names the secret \(use.name), which does not exist; PUT /api/secrets/\(use.name) first")
            }
            guard !allowed.contains(where: { $0.covers(use.url.host, port: use.url.port) }) else { return nil }
            return JSONViolation(
                pointer: use.pointer, message: "sends the secret \(use.name) to \(use.url.host), which is not among its hosts")
        }
    }
}

/// A place of a config that sends a secret somewhere.
struct SecretUse {
    let name: String
    let url: OutboundURL
    let pointer: String

    static func all(in config: AgentConfig, at pointer: String) -> [SecretUse] {
        var uses: [SecretUse] = []
        if let name = config.model.apiKeySecret, let url = config.model.baseURL.flatMap({ try? OutboundURL($0) }) {
            uses.append(SecretUse(name: name, url: url, pointer: "\(pointer)/model/apiKey"))
        }
        for (index, tool) in config.tools.enumerated() {
            let url: OutboundURL? = if case .request(let request) = tool.serverKind { request.origin } else { tool.external?.url }
            guard let url else { continue }
            uses += tool.secretNames.sorted().map { SecretUse(name: $0, url: url, pointer: "\(pointer)/tools/\(index)/execution") }
        }
        for (index, server) in config.mcpServers.enumerated() {
            guard let url = try? OutboundURL(server.url) else { continue }
            uses += server.secretNames.sorted().map { SecretUse(name: $0, url: url, pointer: "\(pointer)/mcp/servers/\(index)/headers") }
        }
        return uses
    }
}
