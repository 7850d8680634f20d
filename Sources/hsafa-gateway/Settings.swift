import Argon2
import Configuration
import FoundationEssentials
import Cryptography
import Domain
import GatewayHTTP
import Logging
import Postgres
import Redis
import Runtime

/// What is wrong with the environment, in one sentence that says what to do.
struct SettingsError: Error, CustomStringConvertible {
    let description: String
}

/// The environment, read and checked once. An empty value counts as unset.
struct Settings {
    let gateway: GatewayConfiguration
    let cors: CORSOrigins
    let tls: TLSFiles?
    let maxConnectionsPerAddress: Int
    let postgres: PostgresConfiguration
    let redis: RedisConfiguration
    let logLevel: Logger.Level
    let isLogJSON: Bool

    init(_ config: ConfigReader) throws {
        let reader = SettingsReader(config: config)
        let host = reader.text("host") ?? "127.0.0.1"
        let port = try reader.int("port", in: 1...65_535) ?? 3000
        cors = try Self.cors(reader)
        tls = try Self.tls(reader)
        maxConnectionsPerAddress =
            try reader.int("max.connections.per.address", in: 1...Limits.maxConnections) ?? Limits.defaultConnectionsPerAddress
        let scheme = tls == nil ? "http" : "https"
        gateway = GatewayConfiguration(
            host: host, port: port, publicURL: try reader.url("public.url") ?? "\(scheme)://\(host):\(port)",
            policiesDirectory: reader.text("policies.dir") ?? "policies",
            migrationsDirectory: reader.text("migrations.dir") ?? "migrations",
            runLeaseSeconds: try reader.int("run.lease.seconds", in: 3...600) ?? 30,
            deviceHeartbeatSeconds: try reader.int("device.heartbeat.seconds", in: 1...300) ?? 30,
            maxConcurrentRuns: try reader.int("max.concurrent.runs", in: 1...10_000) ?? 256,
            metricsPort: try reader.int("metrics.port", in: 1...65_535), openAPIFile: reader.text("openapi.file") ?? "openapi.yaml",
            docsDirectory: reader.text("docs.dir") ?? "viewer",
            argon2: try Self.argon2(reader), trustedProxies: try Self.trustedProxies(reader), limits: try reader.tenantLimits(),
            egress: try Self.egress(reader), masterKeys: try Self.masterKeys(reader))
        guard gateway.metricsPort != port else {
            throw SettingsError(description: "METRICS_PORT is \(port), as PORT is; give metrics a port of their own, or none")
        }
        postgres = try Self.database(reader, "database.url")
        // Serving does not use it; that it is wrong is better known now than at the next migration.
        if reader.text("database.owner.url") != nil { _ = try Self.database(reader, "database.owner.url") }
        redis = try Self.redis(reader)
        (logLevel, isLogJSON) = try Self.logging(reader)
    }

    static func read() throws -> Settings { try Settings(ConfigReader(provider: EnvironmentVariablesProvider())) }

    /// For migrate and keys: only the owner's database is needed.
    static func owner() throws -> PostgresConfiguration {
        let reader = SettingsReader(config: ConfigReader(provider: EnvironmentVariablesProvider()))
        var configuration = try database(reader, reader.text("database.owner.url") == nil ? "database.url" : "database.owner.url")
        configuration.sharedConnections = 1
        configuration.transactionConnections = 1
        configuration.listConnections = 1
        // A migration may build an index over a large table.
        configuration.statementTimeoutMilliseconds = 600_000
        return configuration
    }

    /// For what is done on the machine and must be heard of by the gateways, and hashed as they hash.
    static func machine() throws -> (redis: RedisConfiguration, argon2: Argon2Parameters) {
        let reader = SettingsReader(config: ConfigReader(provider: EnvironmentVariablesProvider()))
        return (try redis(reader), try argon2(reader))
    }

    static func ownerMigrationsDirectory() -> String {
        SettingsReader(config: ConfigReader(provider: EnvironmentVariablesProvider())).text("migrations.dir") ?? "migrations"
    }

    private static func database(_ reader: SettingsReader, _ key: String) throws -> PostgresConfiguration {
        guard let url = reader.text(key) else {
            throw SettingsError(
                description: "\(reader.name(key)) is not set; give a libpq URL such as postgresql://hsafa_app@localhost:5432/hsafa")
        }
        do { return try PostgresConfiguration(url: url) } catch {
            throw SettingsError(description: "\(reader.name(key)) is no libpq connection URL: \(error.message)")
        }
    }

    private static func tls(_ reader: SettingsReader) throws -> TLSFiles? {
        switch (reader.text("tls.certificate.file"), reader.text("tls.key.file")) {
        case (let certificate?, let key?): return TLSFiles(certificate: certificate, key: key)
        case (nil, nil): return nil
        default:
            throw SettingsError(
                description: "TLS_CERTIFICATE_FILE and TLS_KEY_FILE go together; set both, or neither for plain HTTP")
        }
    }

    private static func cors(_ reader: SettingsReader) throws -> CORSOrigins {
        guard let origins = reader.text("cors.origins") else { return .none }
        do { return try CORSOrigins(parsing: origins) } catch {
            throw SettingsError(description: "CORS_ORIGINS \(error.description)")
        }
    }

    static func redis(_ reader: SettingsReader) throws -> RedisConfiguration {
        do { return try RedisConfiguration(url: reader.text("redis.url") ?? "redis://127.0.0.1:6379") } catch {
            throw SettingsError(description: "REDIS_URL is not usable: \(error.message)")
        }
    }

    /// What a hash of a key's secret costs. A key that was hashed at a lower cost is hashed anew at its next cold use.
    static func argon2(_ reader: SettingsReader) throws -> Argon2Parameters {
        let standard = Argon2Parameters()
        return Argon2Parameters(
            memoryKiB: try reader.int("argon2.memory.kib", in: Limits.argon2MemoryKiB) ?? standard.memoryKiB,
            iterations: try reader.int("argon2.iterations", in: Limits.argon2Iterations) ?? standard.iterations,
            parallelism: try reader.int("argon2.parallelism", in: Limits.argon2Parallelism) ?? standard.parallelism)
    }

    private static func trustedProxies(_ reader: SettingsReader) throws -> TrustedProxies {
        guard let text = reader.text("trusted.proxies") else { return TrustedProxies() }
        return TrustedProxies(
            try text.split(separator: ",").map { part in
                let entry = part.filter { $0 != " " }
                guard let block = AddressBlock(entry) else {
                    throw SettingsError(
                        description: "TRUSTED_PROXIES has \(entry); it must be addresses or blocks, such as 10.0.0.0/8,2001:db8::1")
                }
                return block
            })
    }

    /// Public addresses, and what the operator lists here for every tenant: the quick way beside the policies' `egress`.
    private static func egress(_ reader: SettingsReader) throws -> EgressRules {
        let listed: String = reader.text("egress.allow") ?? ""
        var hosts: [HostPattern] = []
        for part in listed.split(separator: ",") {
            let entry = String(part.filter { $0 != " " })
            do throws(HostPatternError) { hosts.append(try HostPattern(entry)) } catch {
                throw SettingsError(description: "EGRESS_ALLOW has \(entry), which \(error.message)")
            }
        }
        return EgressRules(byDefault: .public, allowances: hosts.isEmpty ? [] : [.init(tenants: nil, hosts: hosts)])
    }

    static func logging(_ reader: SettingsReader) throws -> (Logger.Level, isJSON: Bool) {
        let levelText = reader.text("log.level") ?? "info"
        guard let level = Logger.Level(rawValue: levelText.lowercased()) else {
            throw SettingsError(
                description: "LOG_LEVEL is \(levelText); it can be \(Logger.Level.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        let format = reader.text("log.format") ?? "text"
        guard format == "text" || format == "json" else {
            throw SettingsError(description: "LOG_FORMAT is \(format); it can be text or json")
        }
        return (level, format == "json")
    }
}

/// Reads `a.b.c` from the variable `A_B_C`.
struct SettingsReader {
    let config: ConfigReader

    func name(_ key: String) -> String { key.uppercased().replacing(".", with: "_") }

    func text(_ key: String) -> String? {
        guard let value = config.string(forKey: ConfigKey(key), isSecret: true), !value.isEmpty else { return nil }
        return value
    }

    func int(_ key: String, in range: ClosedRange<Int>) throws -> Int? {
        guard let text = text(key) else { return nil }
        guard let value = Int(text), range.contains(value) else {
            throw SettingsError(
                description: "\(name(key)) is \(text); it must be a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    func url(_ key: String) throws -> String? {
        guard let text = text(key) else { return nil }
        let parts = URLComponents(string: text)
        guard text.hasPrefix("http://") || text.hasPrefix("https://"), !text.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7F }),
            let parts, parts.host?.isEmpty == false, parts.user == nil, parts.password == nil, parts.query == nil, parts.fragment == nil
        else {
            // Not repeated: it may hold a password.
            throw SettingsError(
                description: "\(name(key)) must be an http or https URL of a host, without user, query and fragment, "
                    + "such as https://gateway.example.org")
        }
        return text
    }
}
