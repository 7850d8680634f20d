import ArgumentParser
import Domain
import HsafaClient
import JSON

struct TokensGroup: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokens",
        abstract: "Tokens of one run, for pages: create, list, revoke.",
        discussion: """
            A page that holds one may watch that run and, where granted, answer its browser calls and decide about its approvals; nothing
            else. It ends with its time, a minute after its run, and with the key that made it. Needs runs:read, and the scope of what is
            granted: tools:respond, approvals:write.

              run=$(hsafa run my-agent "Hello" --no-watch)
              hsafa tokens create $run --grant tools --grant approvals --expires-seconds 900
              hsafa tokens list $run
              hsafa tokens revoke $run 0198…

            examples/browser in the repository is a page that takes one.
            """,
        subcommands: [TokensCreate.self, TokensList.self, TokensRevoke.self])
}

struct TokensCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Make a token of a run and print it, once.",
        discussion: "  hsafa tokens create 0198… --grant tools")

    @OptionGroup var connection: ConnectionOptions
    @Argument(help: "The run's id.") var runId: String

    @Option(
        name: .customLong("grant"),
        help: "What it gives beside watching: tools (answer the run's browser calls) or approvals (decide about them); may be repeated.")
    var grants: [String] = []

    @Option(help: "How long it is good at most, 1 to 86400. Default: an hour.") var expiresSeconds: Int?
    @Flag(help: "Print the gateway's answer.") var json = false

    func validate() throws {
        for grant in grants where RunTokenGrant(rawValue: grant) == nil {
            throw ValidationError("--grant \(grant) is none of \(RunTokenGrant.allCases.map(\.rawValue).joined(separator: ", ")).")
        }
        guard Set(grants).count == grants.count else { throw ValidationError("Give each --grant once.") }
        if let expiresSeconds, !(1...Limits.maxRunTokenSeconds).contains(expiresSeconds) {
            throw ValidationError("--expires-seconds must be 1 to \(Limits.maxRunTokenSeconds).")
        }
    }

    func run() async throws {
        let issued = try await connection.withClient { client in
            try await client.runTokens.create(runId, grants: grants, expiresSeconds: expiresSeconds)
        }
        if json { return Terminal.output.json(issued.json.bytes) }
        // The token alone on standard output, so that a script can take it.
        Terminal.output.line(issued.text)
        let expiry = issued.token.expiresAt.map { ", good until \($0) at the latest" } ?? ""
        Terminal.error.line(Terminal.error.dim("token \(issued.token.tokenId)\(expiry); it is shown this once"))
    }
}

struct TokensList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List a run's tokens that are good, newest first.")

    @OptionGroup var connection: ConnectionOptions
    @Argument(help: "The run's id.") var runId: String
    @Flag(help: "Print one JSON object a line.") var json = false

    func run() async throws {
        try await connection.withClient { client in
            try await Table.show(["ID", "GRANTS", "CREATED", "EXPIRES"], limit: Limits.maxRunTokensPerRun, isJSON: json) { _, _ in
                try await client.runTokens.list(runId)
            } row: { token in
                let grants = ["watch"] + token.grants
                return ([token.tokenId, grants.joined(separator: " "), token.createdAt ?? "-", token.expiresAt ?? "-"], token.json)
            }
        }
    }
}

struct TokensRevoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "End a token at once and for good; its streams end too.",
        discussion: "  hsafa tokens revoke 0198…run 0198…token")

    @OptionGroup var connection: ConnectionOptions
    @Argument(help: "The run's id.") var runId: String
    @Argument(help: "The token's id, as `hsafa tokens list` shows it.") var tokenId: String

    func run() async throws {
        try await connection.withClient { try await $0.runTokens.revoke(runId, tokenId) }
        Terminal.error.line(Terminal.error.dim("revoked"))
    }
}
