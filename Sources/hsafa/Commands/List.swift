import ArgumentParser
import HsafaClient
import JSON

struct List: AsyncParsableCommand {
    enum Kind: String, ExpressibleByArgument, CaseIterable { case agents, runs, devices }

    static let configuration = CommandConfiguration(
        abstract: "List agents, runs or devices.",
        discussion: """
              hsafa list agents
              hsafa list runs --status waiting_tool --limit 20
              hsafa list devices --json | jq -r .deviceId
            """)

    @OptionGroup var connection: ConnectionOptions

    @Argument(help: "What to list: agents, runs or devices.")
    var kind: Kind

    @Option(help: "Runs and devices with this status only, e.g. queued, running, waiting_tool, completed, failed, canceled.")
    var status: String?

    @OptionGroup var list: ListOptions

    func validate() throws {
        guard status == nil || kind != .agents else { throw ValidationError("--status is for runs and devices.") }
    }

    func run() async throws {
        try await connection.withClient { client in
            switch kind {
            case .agents:
                try await list.show(["NAME", "ID", "CURRENT VERSION"]) { size, cursor in
                    try await client.agents.list(limit: size, cursor: cursor)
                } row: { agent in
                    ([agent.name, agent.agentId, agent.currentVersionId ?? "-"], agent.json)
                }
            case .runs:
                try await list.show(["ID", "STATUS", "AGENT", "CREATED"]) { size, cursor in
                    try await client.runs.list(status: status, limit: size, cursor: cursor)
                } row: { run in
                    ([run.runId, run.status, run.agentName ?? "-", run.createdAt ?? "-"], run.json)
                }
            case .devices:
                try await list.show(["ID", "NAME", "KEY", "STATUS", "ONLINE"]) { size, cursor in
                    try await client.devices.list(status: status, limit: size, cursor: cursor)
                } row: { device in
                    let online = device.isOnline.map { $0 ? "yes" : "no" } ?? "-"
                    return (
                        [device.deviceId, device.displayName ?? "-", device.deviceKey ?? "-", device.status ?? "-", online], device.json
                    )
                }
            }
        }
    }
}
