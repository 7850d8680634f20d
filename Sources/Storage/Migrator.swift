import Cryptography
import FoundationEssentials
import Glibc
public import Logging
public import Postgres

/// Applies `migrations/*.sql` in the order of their names, each once, all under one advisory lock.
public struct Migrator: Sendable {
    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    public struct Migration: Sendable {
        public let name: String
        public let sql: String
        /// Hex SHA-256 of the file: an applied file must not change.
        public let checksum: String
    }

    private let client: PostgresClient
    private let migrations: [Migration]
    private let logger: Logger

    /// `client` connects as the owner (DATABASE_OWNER_URL) and sets no scope.
    public init(client: PostgresClient, directory: String, logger: Logger) throws {
        self.client = client
        self.logger = logger
        migrations = try Self.load(directory)
    }

    static func load(_ directory: String) throws -> [Migration] {
        let names: [String]
        do { names = try FileManager.default.contentsOfDirectory(atPath: directory) } catch {
            throw Failure(description: "the folder of migrations \(directory) cannot be read; set MIGRATIONS_DIR to it")
        }
        let files = names.filter { $0.hasSuffix(".sql") }.sorted()
        guard !files.isEmpty else {
            throw Failure(description: "\(directory) holds no *.sql; set MIGRATIONS_DIR to the folder of migrations")
        }
        return try files.map { name in
            let data = try Data(contentsOf: URL(filePath: directory).appending(path: name))
            let bytes = [UInt8](data)
            return Migration(name: name, sql: String(decoding: bytes, as: UTF8.self), checksum: Hex.encode(SHA256.hash(bytes)))
        }
    }

    /// Returns the names of what was applied. Safe to run from many processes at once.
    @discardableResult
    public func migrate() async throws -> [String] {
        var applied: [String] = []
        for migration in migrations {
            let isNew = try await client.withTransaction { transaction in
                // Ends with the transaction, so a killed migrator leaves no lock behind.
                _ = try await transaction.query("SELECT pg_advisory_xact_lock(7264012)")
                _ = try await transaction.query(
                    """
                    CREATE TABLE IF NOT EXISTS public.hsafa_schema_migrations (
                        name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())
                    """)
                let known = try await transaction.query(
                    "SELECT checksum FROM public.hsafa_schema_migrations WHERE name = \(migration.name)")
                if let row = known.first {
                    guard try row.decode(0, as: String.self) == migration.checksum else {
                        throw Failure(
                            description: "\(migration.name) was changed after it was applied; put it back and add a new migration instead")
                    }
                    return false
                }
                // One statement a call: the driver prepares, and a prepared text holds one statement.
                for statement in SQLScript.statements(in: migration.sql) { _ = try await transaction.query(SQL(unsafeSQL: statement)) }
                _ = try await transaction.query(
                    "INSERT INTO public.hsafa_schema_migrations (name, checksum) VALUES (\(migration.name), \(migration.checksum))")
                _ = try await transaction.query("GRANT SELECT ON public.hsafa_schema_migrations TO hsafa_app")
                return true
            }
            if isNew {
                applied.append(migration.name)
                logger.info("migration applied", metadata: ["migration": "\(migration.name)"])
            }
        }
        return applied
    }

    /// What is missing or differs, seen by the application's connection; empty when the schema is this version's.
    public static func pending(_ client: PostgresClient, directory: String) async throws -> [String] {
        let wanted = try load(directory)
        let rows: PostgresRows
        do { rows = try await client.query("SELECT name, checksum FROM public.hsafa_schema_migrations") } catch {
            if error.sqlState == "42P01" { return wanted.map(\.name) }
            throw error
        }
        var known: [String: String] = [:]
        for row in rows { known[try row.decode(0)] = try row.decode(1, as: String.self) }
        return wanted.filter { known[$0.name] != $0.checksum }.map(\.name)
    }
}
