import ArgumentParser
import HsafaClient

struct AdminGroup: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "admin",
        abstract: "Tenants, their keys, and the audit log of all of them.",
        discussion: """
            Needs a key of the platform's admins, which is made on the gateway's own machine: hsafa-gateway keys create --admin

              hsafa admin tenants create acme --name "Acme Ltd"
              hsafa admin keys create 0198… --name first --scope agents:write --scope runs:write
              hsafa admin tenants suspend 0198… --reason unpaid
              hsafa admin audit --tenant 0198…
            """,
        subcommands: [AdminTenants.self, AdminKeys.self, AdminAudit.self])
}

struct AdminAudit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit", abstract: "The audit log of all tenants, or of one, newest first.",
        discussion: "  hsafa admin audit --action tenant.suspend --from 2026-01-01T00:00:00Z")

    @OptionGroup var connection: ConnectionOptions

    @Option(help: "Only this tenant: its id.")
    var tenant: String?

    @OptionGroup var options: AuditOptions

    func run() async throws {
        try await connection.withClient { client in
            try await options.show { query, size, cursor in
                try await client.admin.audit(tenantId: tenant, query, limit: size, cursor: cursor)
            }
        }
    }
}
