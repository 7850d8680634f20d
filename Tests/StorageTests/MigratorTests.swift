import FoundationEssentials
import Postgres
@testable import Storage
import Testing

struct MigratorTests {
    private func migrator(_ owner: PostgresClient, _ directory: String = StorageDatabase.migrations) throws -> Migrator {
        try Migrator(client: owner, directory: directory, logger: StorageDatabase.logger)
    }

    private func withCopy<R>(_ body: (String) async throws -> R) async throws -> R {
        let copy = FileManager.default.temporaryDirectory.appending(path: "migrations-\(UUID().uuidString)")
        try FileManager.default.copyItem(atPath: StorageDatabase.migrations + "/.", toPath: copy.path)
        defer { try? FileManager.default.removeItem(at: copy) }
        return try await body(copy.path)
    }

    @Test func `every file is applied once, in order, and a second run finds nothing to do`() async throws {
        try await StorageDatabase.withEmptyDatabase { name in
            try await StorageDatabase.withClient("TEST_OWNER_URL", name) { owner in
                let files = try Migrator.load(StorageDatabase.migrations).map(\.name)
                #expect(files == files.sorted())
                #expect(try await Migrator.pending(owner, directory: StorageDatabase.migrations) == files)
                #expect(try await migrator(owner).migrate() == files)
                #expect(try await migrator(owner).migrate() == [])
                let pending = try await StorageDatabase.withClient("TEST_APP_URL", name) { app in
                    try await Migrator.pending(app, directory: StorageDatabase.migrations)
                }
                #expect(pending == [])
            }
        }
    }

    @Test func `migrators that start at once apply each file once between them`() async throws {
        try await StorageDatabase.withEmptyDatabase { name in
            let files = try Migrator.load(StorageDatabase.migrations).map(\.name)
            let applied = try await withThrowingTaskGroup(of: [String].self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        try await StorageDatabase.withClient("TEST_OWNER_URL", name) { owner in try await self.migrator(owner).migrate() }
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(applied.sorted() == files)
        }
    }

    @Test func `a file that was changed after it was applied is refused by its name`() async throws {
        try await StorageDatabase.withEmptyDatabase { name in
            try await StorageDatabase.withClient("TEST_OWNER_URL", name) { owner in
                _ = try await migrator(owner).migrate()
                try await withCopy { directory in
                    let files = try Migrator.load(directory)
                    let first = try #require(files.first)
                    try Data((first.sql + "\n-- changed\n").utf8).write(to: URL(filePath: directory).appending(path: first.name))
                    let failure = await #expect(throws: Migrator.Failure.self) { try await migrator(owner, directory).migrate() }
                    #expect(failure?.description.contains(first.name) == true)
                    #expect(try await Migrator.pending(owner, directory: directory) == [first.name])
                }
            }
        }
    }

    @Test func `a file that fails leaves nothing of itself, and those before it stay`() async throws {
        try await StorageDatabase.withEmptyDatabase { name in
            try await StorageDatabase.withClient("TEST_OWNER_URL", name) { owner in
                try await withCopy { directory in
                    let files = try Migrator.load(directory).map(\.name)
                    try Data("CREATE TABLE hsafa.half (a int); SELECT 1/0;".utf8)
                        .write(to: URL(filePath: directory).appending(path: "9999_broken.sql"))
                    await #expect(throws: PostgresError.self) { try await migrator(owner, directory).migrate() }
                    #expect(try await Migrator.pending(owner, directory: directory) == ["9999_broken.sql"])
                    #expect(try await owner.query("SELECT to_regclass('hsafa.half') IS NULL").first?.decode(0, as: Bool.self) == true)
                    #expect(try await migrator(owner).migrate() == [])
                    #expect(!files.isEmpty)
                }
            }
        }
    }

    @Test func `a folder that is missing or holds no SQL is refused with the setting's name`() throws {
        let client = PostgresClient(try PostgresConfiguration(url: "postgresql://nobody@/none"), logger: StorageDatabase.logger)
        let failure = #expect(throws: Migrator.Failure.self) { try migrator(client, "/nonexistent") }
        #expect(failure?.description.contains("MIGRATIONS_DIR") == true)
    }
}

struct SQLScriptTests {
    @Test(
        arguments: [
            ("", []), ("  \n;;", []), ("SELECT 1", ["SELECT 1"]), ("SELECT 1; SELECT 2;", ["SELECT 1", " SELECT 2"]),
            ("SELECT ';'; SELECT 'it''s;'", ["SELECT ';'", " SELECT 'it''s;'"]), ("SELECT \"a;b\"; x", ["SELECT \"a;b\"", " x"]),
            ("-- a; b\nSELECT 1;", ["-- a; b\nSELECT 1"]), ("/* a; */ SELECT 1;", ["/* a; */ SELECT 1"]), ("-- only a comment;", []),
            ("/* a /* b; */ c; */ SELECT 1; y", ["/* a /* b; */ c; */ SELECT 1", " y"]),
            ("DO $$ BEGIN; END $$; z", ["DO $$ BEGIN; END $$", " z"]), ("DO $a1$ $$ ; $a1$; z", ["DO $a1$ $$ ; $a1$", " z"]),
            ("DO $body$ ';' $body$;", ["DO $body$ ';' $body$"]), ("SELECT $1; SELECT $2", ["SELECT $1", " SELECT $2"]),
            ("SELECT a$b$; SELECT c$b$", ["SELECT a$b$", " SELECT c$b$"]), ("SELECT 'unclosed;", ["SELECT 'unclosed;"]),
            ("SELECT '--'; SELECT '/*';", ["SELECT '--'", " SELECT '/*'"]),
        ] as [(String, [String])])
    func `a script is cut at its top-level semicolons`(script: String, statements: [String]) {
        #expect(SQLScript.statements(in: script) == statements)
    }

    @Test func `the repository's own migrations are cut without loss`() throws {
        for file in try Migrator.load(StorageDatabase.migrations) {
            let statements = SQLScript.statements(in: file.sql)
            #expect(!statements.isEmpty)
            for statement in statements { #expect(file.sql.contains(statement)) }
        }
    }
}
