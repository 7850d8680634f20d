import ArgumentParser
import Domain
import JSON
import Storage

struct ListKeys: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the keys of a tenant, or of the admins; never their secrets.",
        discussion: """
              hsafa-gateway keys list --tenant acme
              hsafa-gateway keys list --admin --json | jq -r .keyId
            """)

    @OptionGroup var owner: KeyOwnerOptions

    @Flag(help: "Print one JSON object a line.")
    var json = false

    func run() async throws {
        let (owner, isJSON) = (owner, json)
        try await KeysOnMachine.run { machine in
            let tenant = machine.bootstrap.changes(of: try await owner.scope(machine.bootstrap)).database
            var after: APIKeyID?
            repeat {
                let keys = try await tenant.apiKeys(limit: Limits.maxPageSize, after: after)
                for key in keys { print(isJSON ? Self.json(key) : Self.line(key)) }
                after = keys.count < Limits.maxPageSize ? nil : keys.last?.keyID
            } while after != nil
        }
    }

    private static func line(_ key: APIKeyListing) -> String {
        var parts = [key.keyID.description, key.status().rawValue, key.name]
        if let expiresAt = key.expiresAt { parts.append("expires \(expiresAt)") }
        parts.append(key.lastUsedAt.map { "last used \($0)" } ?? "never used")
        return parts.joined(separator: "  ")
    }

    private static func json(_ key: APIKeyListing) -> String {
        RawJSON.object { writer in
            writer.field("keyId", string: key.keyID.description)
            writer.field("name", string: key.name)
            writer.field("status", string: key.status().rawValue)
            writer.field("scopes", raw: .array { list in for scope in key.scopes { list.string(scope.rawValue) } })
            writer.field("createdAt", string: key.createdAt.description)
            writer.field("expiresAt", stringIfPresent: key.expiresAt?.description)
            writer.field("lastUsedAt", stringIfPresent: key.lastUsedAt?.description)
            writer.field("rotatedAt", stringIfPresent: key.rotatedAt?.description)
            writer.field("revokedAt", stringIfPresent: key.revokedAt?.description)
        }.string
    }
}
