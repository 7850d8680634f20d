import ArgumentParser
import Configuration
import Cryptography
import Domain
import Runtime
import Storage

struct Secrets: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Seal the tenants' secrets under another master key.", subcommands: [RotateMasterKey.self])
}

struct RotateMasterKey: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate-master-key",
        abstract: "Seal every secret that another key has sealed with the current one.",
        discussion: """
            Connects with DATABASE_OWNER_URL (or DATABASE_URL). MASTER_KEY seals; MASTER_KEY_OTHERS holds the keys before, which open.
            May be stopped and run again at any point: what is done stays done, and each secret is one row of the audit log. First give
            every gateway both keys, so that each can open what another has sealed:

              1. MASTER_KEY=old  MASTER_KEY_OTHERS=new   on every gateway
              2. MASTER_KEY=new  MASTER_KEY_OTHERS=old   on every gateway
              3. MASTER_KEY=new  MASTER_KEY_OTHERS=old   hsafa-gateway secrets rotate-master-key
              4. MASTER_KEY=new                          on every gateway; the old key is good for nothing any more
            """)

    func run() async throws {
        let keys: MasterKeys?
        do {
            keys = try Settings.masterKeys(SettingsReader(config: ConfigReader(provider: EnvironmentVariablesProvider())))
        } catch let error as SettingsError { throw ValidationError(error.description) }
        guard let keys else { throw ValidationError("MASTER_KEY is not set") }
        try await OwnerSession.run { client, _ in
            let bootstrap = Bootstrap(owner: client, author: KeysOnMachine.author())
            var (sealed, failed) = try await Self.reseal(keys, bootstrap)
            let (webhooks, failedWebhooks) = try await Self.resealWebhooks(keys, bootstrap)
            sealed += webhooks
            failed += failedWebhooks
            print("Sealed \(sealed) secrets with master key \(keys.current.id).")
            guard failed.isEmpty else {
                for line in failed { KeysOnMachine.printError(line) }
                throw ExitCode.failure
            }
        }
    }

    static let batch = 100

    private static func reseal(_ keys: MasterKeys, _ bootstrap: Bootstrap) async throws -> (sealed: Int, failed: [String]) {
        var place: (tenant: TenantID, name: String)?
        var sealed = 0
        var failed: [String] = []
        while true {
            let rows = try await bootstrap.secretsUnderOtherKeys(than: keys.current.id, after: place, limit: batch)
            for (scope, record) in rows {
                place = (scope.tenantID, record.name)
                let seal = SecretSeal(tenant: scope.tenantID, name: record.name, hosts: record.hosts)
                do {
                    let fresh = try seal.seal(try seal.open(record.sealed, keys), keys)
                    if try await bootstrap.changes(of: scope).resealSecret(record.name, from: record.sealed, to: fresh) { sealed += 1 }
                } catch let error as CryptographyError {
                    failed.append("\(scope.slug): \(record.name): \(error)")
                }
            }
            if rows.count < batch { return (sealed, failed) }
        }
    }

    private static func resealWebhooks(_ keys: MasterKeys, _ bootstrap: Bootstrap) async throws -> (sealed: Int, failed: [String]) {
        var place: TenantID?
        var sealed = 0
        var failed: [String] = []
        while true {
            let rows = try await bootstrap.webhookSecretsUnderOtherKeys(than: keys.current.id, after: place, limit: batch)
            for (scope, current, previous) in rows {
                place = scope.tenantID
                let seal = ExternalService.seal(scope.tenantID)
                do {
                    let fresh = try seal.seal(try seal.open(current, keys), keys)
                    let before = try previous.map { old throws(CryptographyError) in try seal.seal(try seal.open(old, keys), keys) }
                    if try await bootstrap.changes(of: scope).resealWebhookSecret(from: current, to: fresh, previous: before) {
                        sealed += 1
                    }
                } catch let error as CryptographyError {
                    failed.append("\(scope.slug): webhook secret: \(error)")
                }
            }
            if rows.count < batch { return (sealed, failed) }
        }
    }
}
