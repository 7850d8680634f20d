import ArgumentParser
import Logging
import Postgres
import Storage

struct Migrate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Bring the database to this version's schema.",
        discussion: """
            Connects with DATABASE_OWNER_URL (or DATABASE_URL) and applies migrations/*.sql (MIGRATIONS_DIR) in order, each once, each in
            a transaction, under a lock: any number of replicas may run it at once. A file that was changed after it was applied is refused.
            """)

    func run() async throws {
        try await OwnerSession.run { client, logger in
            let applied = try await Migrator(client: client, directory: Settings.ownerMigrationsDirectory(), logger: logger).migrate()
            print(applied.isEmpty ? "The database is up to date." : "Applied \(applied.joined(separator: ", ")).")
        }
    }
}

/// A short use of the owner's connection.
enum OwnerSession {
    /// `insufficient_privilege` (Postgres, appendix A).
    struct NotTheOwner: Error, CustomStringConvertible {
        let cause: PostgresError

        var description: String {
            "\(cause). This needs the owner's role: set DATABASE_OWNER_URL to a connection as hsafa_owner (scripts/roles.sql makes it)."
        }
    }

    static func run(_ body: @escaping @Sendable (PostgresClient, Logger) async throws -> Void) async throws {
        let logger = LineLogHandler.makeLogger(level: .notice, isJSON: false)
        let configuration: PostgresConfiguration
        do {
            var owner = try Settings.owner()
            owner.scopeSetting = Database.scopeSetting
            configuration = owner
        } catch let error as SettingsError { throw ValidationError(error.description) }
        let client = PostgresClient(configuration, logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await client.run() }
            let outcome: Result<Void, any Error>
            do {
                try await body(client, logger)
                outcome = .success(())
            } catch { outcome = .failure(error) }
            client.shutDown()
            try await group.waitForAll()
            do { try outcome.get() } catch let error as PostgresError where error.sqlState == "42501" {
                throw NotTheOwner(cause: error)
            }
        }
    }
}
