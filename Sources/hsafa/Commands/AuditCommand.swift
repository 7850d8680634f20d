import ArgumentParser
import Domain
import HsafaClient

struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Who changed what, from where: the tenant's audit log, newest first.",
        discussion: """
            Needs audit:read.

              hsafa audit --limit 20
              hsafa audit --action key.revoke --from 2026-01-01T00:00:00Z
              hsafa audit --target 0198… --json | jq .details
            """)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var options: AuditOptions

    func run() async throws {
        try await connection.withClient { client in
            try await options.show { query, size, cursor in try await client.audit(query, limit: size, cursor: cursor) }
        }
    }
}

struct AuditOptions: ParsableArguments {
    @Option(help: "Only this action, e.g. key.create, agent_version.publish, tenant.suspend.")
    var action: String?

    @Option(help: "Only what this key, token or account did: its id.")
    var actor: String?

    @Option(help: "Only what was done to the thing of this id.")
    var target: String?

    @Option(help: "From this time on, RFC 3339.")
    var from: String?

    @Option(help: "Before this time, RFC 3339.")
    var to: String?

    @OptionGroup var list: ListOptions

    func validate() throws {
        if let action, AuditAction(rawValue: action) == nil {
            throw ValidationError("--action \(action) is none of \(AuditAction.allCases.map(\.rawValue).joined(separator: ", ")).")
        }
        for (name, time) in [("from", from), ("to", to)] {
            if let time, Timestamp(rfc3339: time) == nil { throw ValidationError("--\(name) must be a time such as 2026-01-31T09:30:00Z.") }
        }
    }

    func show(_ page: (AuditQuery, _ size: Int, _ cursor: String?) async throws -> Page<AuditRow>) async throws {
        let query = AuditQuery(action: action, actor: actor, target: target, from: from, to: to)
        try await list.show(["TIME", "ACTION", "BY", "OF", "FROM"]) { size, cursor in
            try await page(query, size, cursor)
        } row: { row in
            ([row.at, row.action, row.actor, row.target, row.address ?? "-"], row.json)
        }
    }
}
