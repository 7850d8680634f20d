import ArgumentParser
import Domain
import HsafaClient
import JSON

extension AdminTenants {
    struct LimitsCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "limits", abstract: "Show and change the limits in which a tenant differs from the gateway's configuration.",
            discussion: """
                Without options it only shows. Gateways that run take a change up within seconds.

                  hsafa admin tenants limits 0198…
                  hsafa admin tenants limits 0198… --set requestsPerSecond=50 --set requestBurst=100
                  hsafa admin tenants limits 0198… --default requestsPerSecond --default requestBurst

                Limits: \(LimitField.allCases.map(\.rawValue).joined(separator: ", "))
                """)

        @OptionGroup var connection: ConnectionOptions
        @OptionGroup var tenant: TenantArgument

        @Option(help: "A limit and its number, as name=number; repeat it.")
        var set: [String] = []

        @Option(name: .customLong("default"), help: "A limit that goes back to the gateway's configuration; repeat it.")
        var defaults: [String] = []

        @Flag(help: "Print the gateway's answer.")
        var json = false

        func validate() throws { _ = try changes() }

        private func changes() throws -> [String: Int?] {
            var changes: [String: Int?] = [:]
            for text in set {
                let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                let field = try Self.field(String(parts[0]))
                guard parts.count == 2, let value = Int(parts[1]), field.range.contains(value) else {
                    throw ValidationError(
                        "--set \(text): \(field.rawValue) can be \(field.range.lowerBound) to \(field.range.upperBound), as \(field.rawValue)=number."
                    )
                }
                guard changes.updateValue(value, forKey: field.rawValue) == nil else { throw Self.twice(field) }
            }
            for name in defaults {
                let field = try Self.field(name)
                guard changes.updateValue(nil, forKey: field.rawValue) == nil else { throw Self.twice(field) }
            }
            return changes
        }

        private static func field(_ name: String) throws -> LimitField {
            guard let field = LimitField(rawValue: name) else {
                throw ValidationError("\(name) is none of \(LimitField.allCases.map(\.rawValue).joined(separator: ", ")).")
            }
            return field
        }

        private static func twice(_ field: LimitField) -> ValidationError { ValidationError("\(field.rawValue) is named twice.") }

        func run() async throws {
            let changes = try changes()
            try await connection.withClient { client in
                let tenant =
                    changes.isEmpty
                    ? try await client.admin.tenant(tenant.tenantId) : try await client.admin.changeLimits(tenant.tenantId, changes)
                if json { return Terminal.output.json(tenant.json.bytes) }
                if tenant.limits.isEmpty {
                    return Terminal.output.line("\(Terminal.safe(tenant.slug)) has the limits of the gateway's configuration.")
                }
                for field in LimitField.allCases {
                    if let value = tenant.limits[field.rawValue] { Terminal.output.line("\(field.rawValue): \(value)") }
                }
            }
        }
    }
}
