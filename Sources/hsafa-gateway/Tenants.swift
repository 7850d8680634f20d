import ArgumentParser
import Domain
import JSON
import Storage

struct Tenants: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Change tenants on this machine.", subcommands: [SetLimits.self])

    struct SetLimits: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "limits", abstract: "Show and change the limits in which a tenant differs from the configuration.",
            discussion: """
                Without options it only shows. Gateways that run take a change up within seconds.

                  hsafa-gateway tenants limits acme
                  hsafa-gateway tenants limits acme --requests-per-second 50 --request-burst 100
                  hsafa-gateway tenants limits acme --default requestsPerSecond --default requestBurst
                """)

        @Argument(help: "The tenant's slug.")
        var slug: String

        @Option(help: "Requests a second in the long run.")
        var requestsPerSecond: Int?
        @Option(help: "Requests that may come at once after a pause.")
        var requestBurst: Int?
        @Option(help: "Runs created a minute.")
        var runsPerMinute: Int?
        @Option(help: "Runs that workers have in hand at once.")
        var concurrentRuns: Int?
        @Option(help: "Event streams open at once.")
        var streams: Int?
        @Option(help: "Devices connected at once.")
        var devices: Int?
        @Option(help: "Agents stored.")
        var agents: Int?
        @Option(help: "Input and output tokens of models a day, UTC.")
        var modelTokensPerDay: Int?

        @Option(name: .customLong("default"), help: "A limit that goes back to the configuration's, by its name in JSON; repeat it.")
        var defaults: [String] = []

        @Flag(help: "Print one JSON object.")
        var json = false

        private var given: [(LimitField, Int?)] {
            [
                (.requestsPerSecond, requestsPerSecond), (.requestBurst, requestBurst), (.runsPerMinute, runsPerMinute),
                (.concurrentRuns, concurrentRuns), (.streams, streams), (.devices, devices), (.agents, agents),
                (.modelTokensPerDay, modelTokensPerDay),
            ]
        }

        func validate() throws {
            for case (let field, let value?) in given where !field.range.contains(value) {
                throw ValidationError("\(field.rawValue) can be \(field.range.lowerBound) to \(field.range.upperBound)")
            }
            for name in defaults {
                guard let field = LimitField(rawValue: name) else {
                    throw ValidationError("--default \(name) is none of \(LimitField.allCases.map(\.rawValue).joined(separator: ", "))")
                }
                guard !given.contains(where: { $0.0 == field && $0.1 != nil }) else {
                    throw ValidationError("\(name) is both set and given back to its default")
                }
            }
        }

        func run() async throws {
            var changes: [LimitField: Int?] = [:]
            for case (let field, let value?) in given { changes[field] = .some(value) }
            for field in defaults.compactMap(LimitField.init(rawValue:)) { changes[field] = .some(nil) }
            let patch = TenantLimitPatch(changes)
            let (slug, isJSON) = (slug, json)
            try await OwnerSession.run { client, _ in
                let store = TenantLimitsStore(owner: client, author: KeysOnMachine.author())
                guard let tenant = try await store.find(slug: slug) else {
                    throw ValidationError("there is no tenant \(slug); `hsafa-gateway keys create --tenant \(slug)` makes one")
                }
                var overrides = tenant.overrides
                if !patch.isEmpty {
                    overrides = try await store.apply(patch, to: tenant.tenantID) ?? overrides
                    await KeysOnMachine.tellGateways { TenantNotices($0).publish(tenant.tenantID) }
                }
                if isJSON { return print(overrides.json.string) }
                if overrides.values.isEmpty { return print("\(slug) has the limits of the configuration.") }
                for field in LimitField.allCases {
                    if let value = overrides.values[field] { print("\(field.rawValue): \(value)") }
                }
            }
        }
    }
}
