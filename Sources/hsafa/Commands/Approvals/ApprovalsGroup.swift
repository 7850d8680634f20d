import ArgumentParser
import HsafaClient
import JSON

struct ApprovalsGroup: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "approvals",
        abstract: "Calls that wait for a person: list, approve, deny.",
        discussion: """
            Needs approvals:write. A decision is made once, and is of exactly the call that was shown.

              hsafa approvals list
              hsafa approvals approve 0198…run 0198…call
              hsafa approvals deny 0198…run 0198…call --reason "not on a Friday"
            """,
        subcommands: [ApprovalsList.self, ApprovalsApprove.self, ApprovalsDeny.self])
}

struct ApprovalsList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List calls of which a person was asked, the latest first; those that wait unless told otherwise.")

    @OptionGroup var connection: ConnectionOptions
    @Option(help: "pending, approved, denied, expired, canceled, or all.") var status = "pending"
    @OptionGroup var list: ListOptions

    func run() async throws {
        try await connection.withClient { client in
            try await list.show(["RUN", "CALL", "STATUS", "AGENT", "TOOL", "ARGUMENTS", "EXPIRES"]) { size, cursor in
                try await client.approvals.list(status: status == "all" ? nil : status, limit: size, cursor: cursor)
            } row: { approval in
                (
                    [
                        approval.runId, approval.callId, approval.status, approval.agentName, "\(approval.tool) (\(approval.target))",
                        approval.args.string, approval.expiresAt ?? "-",
                    ], approval.json
                )
            }
        }
    }
}

/// Which call, and what was seen of it.
struct ApprovalOptions: ParsableArguments {
    @Argument(help: "The run's id.") var runId: String
    @Argument(help: "The call's id.") var callId: String
    @Option(help: "The callHash that was looked at; refused where the call is another.") var callHash: String?
    @Flag(help: "Print the gateway's answer.") var json = false

    func show(_ approval: Approval) {
        if json { return Terminal.output.json(approval.json.bytes) }
        Terminal.output.line("\(approval.tool) is \(approval.status)")
    }
}

struct ApprovalsApprove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "approve", abstract: "Let a call go out: this very call, once.")

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var options: ApprovalOptions

    func run() async throws {
        options.show(
            try await connection.withClient { try await $0.approvals.approve(options.runId, options.callId, callHash: options.callHash) })
    }
}

struct ApprovalsDeny: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deny", abstract: "Refuse a call; the model is told, and the run goes on.")

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var options: ApprovalOptions
    @Option(help: "Why; the model reads it.") var reason: String?

    func run() async throws {
        options.show(
            try await connection.withClient {
                try await $0.approvals.deny(options.runId, options.callId, reason: reason, callHash: options.callHash)
            })
    }
}
