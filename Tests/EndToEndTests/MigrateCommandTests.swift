import TestSupport
import Testing

/// `hsafa-gateway migrate`, from the command line.
@Suite(.timeLimit(.minutes(5))) struct MigrateCommandTests {
    private func migrate(_ variables: [String: String]) throws -> Command {
        try Command.run(
            "hsafa-gateway", ["migrate"], variables.merging(["MIGRATIONS_DIR": TestEnvironment.repository + "/migrations"]) { $1 })
    }

    @Test func `the owner's connection defaults to the only one, and another role is told whose is needed`() async throws {
        let environment = try await TestEnvironment.fresh()
        let again = try migrate(["DATABASE_URL": environment.ownerURL])
        #expect(again.status == 0 && again.text == "The database is up to date.\n", "\(again.error)")
        let refused = try migrate(["DATABASE_URL": environment.appURL])
        #expect(refused.status == 1)
        #expect(refused.error.contains("permission denied") && refused.error.contains("set DATABASE_OWNER_URL"), "\(refused.error)")
        // What is set for the owner goes before it.
        #expect(try migrate(["DATABASE_URL": environment.appURL, "DATABASE_OWNER_URL": environment.ownerURL]).status == 0)
    }
}
