import ArgumentParser
import HsafaClient

struct AdminKeys: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "List, create, rotate and revoke the keys of a tenant.",
        discussion: """
              hsafa admin keys create 0198… --name first --scope keys:write --scope agents:write
              hsafa admin keys revoke 0198… 0199…
            """,
        subcommands: [ListCommand.self, Create.self, Rotate.self, Revoke.self])

    struct TenantArgument: ParsableArguments {
        @Argument(help: "The tenant's id, as `hsafa admin tenants list` shows it.")
        var tenantId: String
    }

    struct ListCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List a tenant's keys; of the platform's own tenant, those of its admins.")

        @OptionGroup var connection: ConnectionOptions
        @OptionGroup var tenant: TenantArgument
        @OptionGroup var list: ListOptions

        func run() async throws {
            try await connection.withClient { try await $0.admin.keys(of: tenant.tenantId).show(list) }
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Issue a key of a tenant and print it, once.")

        @OptionGroup var connection: ConnectionOptions
        @OptionGroup var tenant: TenantArgument
        @OptionGroup var options: NewKeyOptions

        func run() async throws {
            try await connection.withClient { try await options.create($0.admin.keys(of: tenant.tenantId)) }
        }
    }

    struct Rotate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Give a tenant's key a new secret and print it, once.")

        @OptionGroup var connection: ConnectionOptions
        @OptionGroup var tenant: TenantArgument

        @Argument(help: "The key's id.")
        var keyId: String

        @OptionGroup var options: RotateKeyOptions

        func run() async throws {
            try await connection.withClient { try await options.rotate(keyId, $0.admin.keys(of: tenant.tenantId)) }
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "End a key of a tenant, or of an admin, at once and for good.")

        @OptionGroup var connection: ConnectionOptions
        @OptionGroup var tenant: TenantArgument

        @Argument(help: "The key's id.")
        var keyId: String

        func run() async throws {
            try await connection.withClient { try await $0.admin.keys(of: tenant.tenantId).revoke(keyId) }
            Terminal.error.line(Terminal.error.dim("revoked"))
        }
    }
}
