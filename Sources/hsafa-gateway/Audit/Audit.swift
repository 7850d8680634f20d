import ArgumentParser
import Domain
import JSON
import Storage

struct Audit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Keep the audit log to a length, on this machine.", subcommands: [PruneAudit.self])
}

struct PruneAudit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "Delete rows of the audit log that are older than so many days, for good.",
        discussion: """
            Connects with DATABASE_OWNER_URL (or DATABASE_URL): the role that serves can only add to the log. Goes tenant by tenant in
            batches, each of which leaves a row audit.prune in that tenant's log, with how many it deleted. May be stopped and run again at
            any point, and beside gateways that serve; run it every night, say.

              hsafa-gateway audit prune --older-than 400d --dry-run
              hsafa-gateway audit prune --older-than 400d
              hsafa-gateway audit prune --older-than 90d --tenant acme
            """)

    @Option(help: "Days, as in 400d; 1d at least.")
    var olderThan: String

    @Option(help: "Of this tenant alone, by its slug. `platform` is the admins' own.")
    var tenant: String?

    @Flag(help: "Only count what would be deleted.")
    var dryRun = false

    @Flag(help: "Print one JSON object.")
    var json = false

    static let days = 1...36_500

    private func parsedDays() throws -> Int {
        guard olderThan.hasSuffix("d"), let days = Int(olderThan.dropLast()), Self.days.contains(days) else {
            throw ValidationError("--older-than \(olderThan): give days, from 1d to 36500d")
        }
        return days
    }

    func validate() throws { _ = try parsedDays() }

    func run() async throws {
        let before = Timestamp.now().adding(seconds: -(try parsedDays()) * 86_400)
        let (slug, isDryRun, isJSON) = (tenant, dryRun, json)
        try await OwnerSession.run { client, _ in
            let bootstrap = Bootstrap(owner: client, author: KeysOnMachine.author())
            var (rows, tenants) = (0, 0)
            func prune(_ scope: TenantScope) async throws {
                let count = try await Self.prune(scope, before, bootstrap, isDryRun: isDryRun)
                rows += count
                if count > 0 { tenants += 1 }
            }
            if let slug {
                guard let scope = try await bootstrap.tenant(slug: slug) else { throw ValidationError("there is no tenant \(slug)") }
                try await prune(scope)
            } else {
                var place: TenantID?
                while let scope = try await bootstrap.nextTenantWithOldAudit(before: before, after: place) {
                    place = scope.tenantID
                    try await prune(scope)
                }
            }
            Self.report(rows, tenants, before, isDryRun: isDryRun, isJSON: isJSON)
        }
    }

    private static func prune(
        _ scope: TenantScope, _ before: Timestamp, _ bootstrap: Bootstrap, isDryRun: Bool
    ) async throws -> Int {
        if isDryRun { return try await bootstrap.countAudit(of: scope, before: before) }
        var rows = 0
        while true {
            let deleted = try await bootstrap.pruneAudit(of: scope, before: before, limit: Limits.auditPruneBatch)
            rows += deleted
            if deleted == 0 { return rows }
        }
    }

    private static func report(_ rows: Int, _ tenants: Int, _ before: Timestamp, isDryRun: Bool, isJSON: Bool) {
        guard isJSON else {
            return print("\(isDryRun ? "Would delete" : "Deleted") \(rows) rows of \(tenants) tenants, all from before \(before).")
        }
        print(
            RawJSON.object { writer in
                writer.field("before", string: before.description)
                writer.field("rows", int: rows)
                writer.field("tenants", int: tenants)
                writer.field("dryRun", bool: isDryRun)
            }.string)
    }
}
