import ArgumentParser
import Domain
import HsafaClient
import JSON

struct AdminTenants: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tenants", abstract: "List, create, rename, limit, suspend and resume tenants.",
        discussion: """
              hsafa admin tenants create acme --name "Acme Ltd"
              hsafa admin tenants list --status suspended
              hsafa admin tenants limits 0198… --set requestsPerSecond=50
              hsafa admin tenants suspend 0198… --reason unpaid
              hsafa admin tenants resume 0198…
            """,
        subcommands: [ListCommand.self, Create.self, Show.self, Rename.self, LimitsCommand.self, Suspend.self, Resume.self])

    struct OutputOptions: ParsableArguments {
        @Flag(help: "Print the gateway's answer.")
        var json = false

        func show(_ tenant: Tenant) {
            if json { return Terminal.output.json(tenant.json.bytes) }
            Terminal.output.line("\(tenant.tenantId)  \(Terminal.safe(tenant.slug))  \(tenant.status)  \(Terminal.safe(tenant.name))")
        }
    }

    struct TenantArgument: ParsableArguments {
        @Argument(help: "The tenant's id, as `hsafa admin tenants list` shows it.")
        var tenantId: String
    }

    struct ListCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "List tenants, newest first.")

        @OptionGroup var connection: ConnectionOptions

        @Option(help: "Only active or suspended ones.")
        var status: String?

        @OptionGroup var list: ListOptions

        func validate() throws {
            guard status.map({ ["active", "suspended"].contains($0) }) ?? true else {
                throw ValidationError("--status must be active or suspended.")
            }
        }

        func run() async throws {
            try await connection.withClient { client in
                try await list.show(["ID", "SLUG", "STATUS", "NAME", "CREATED"]) { size, cursor in
                    try await client.admin.tenants(status: status, limit: size, cursor: cursor)
                } row: { tenant in
                    ([tenant.tenantId, tenant.slug, tenant.status, tenant.name, tenant.createdAt ?? "-"], tenant.json)
                }
            }
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a tenant.", discussion: "The slug is for life: policies name it.")

        @OptionGroup var connection: ConnectionOptions

        @Argument(help: "1 to 63 lower case letters, digits and dashes.")
        var slug: String

        @Option(help: "For people. Default: the slug.")
        var name: String?

        @OptionGroup var output: OutputOptions

        func validate() throws {
            guard Slug.isValid(slug) else {
                throw ValidationError("A slug is 1 to 63 lower case letters, digits and dashes, with no dash at its ends.")
            }
        }

        func run() async throws {
            try await connection.withClient { output.show(try await $0.admin.createTenant(slug: slug, name: name)) }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show a tenant.")

        @OptionGroup var connection: ConnectionOptions
        @OptionGroup var tenant: TenantArgument
        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await connection.withClient { output.show(try await $0.admin.tenant(tenant.tenantId)) }
        }
    }

    struct Rename: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Change a tenant's name; never its slug.")

        @OptionGroup var connection: ConnectionOptions
        @OptionGroup var tenant: TenantArgument

        @Argument(help: "The new name.")
        var name: String

        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await connection.withClient { output.show(try await $0.admin.rename(tenant.tenantId, name: name)) }
        }
    }

    struct Suspend: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Suspend a tenant: its keys get 403, its streams and sockets end, its runs pause.")

        @OptionGroup var connection: ConnectionOptions
        @OptionGroup var tenant: TenantArgument

        @Option(help: "For the audit log, which the tenant reads.")
        var reason: String?

        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await connection.withClient { output.show(try await $0.admin.suspend(tenant.tenantId, reason: reason)) }
        }
    }

    struct Resume: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Resume a tenant; its runs go on.")

        @OptionGroup var connection: ConnectionOptions
        @OptionGroup var tenant: TenantArgument

        @Option(help: "For the audit log, which the tenant reads.")
        var reason: String?

        @OptionGroup var output: OutputOptions

        func run() async throws {
            try await connection.withClient { output.show(try await $0.admin.resume(tenant.tenantId, reason: reason)) }
        }
    }
}
