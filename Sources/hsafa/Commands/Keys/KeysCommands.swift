import ArgumentParser
import HsafaClient

struct KeysList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List keys, newest first, expired and revoked ones included.",
        discussion: "  hsafa keys list --json | jq -r 'select(.status == \"active\") | .keyId'")

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var list: ListOptions

    func run() async throws { try await connection.withClient { try await $0.keys.show(list) } }
}

struct KeysCreate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Issue a key and print it, once.",
        discussion: "  hsafa keys create --name ci --scope runs:read --scope runs:write --expires-days 90")

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var options: NewKeyOptions

    func run() async throws { try await connection.withClient { try await options.create($0.keys) } }
}

struct KeysRotate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate", abstract: "Give a key a new secret and print it, once.",
        discussion: """
            The key keeps its id, scopes and expiry. The secret before stays good for the overlap; of two rotations within one overlap
            the oldest secret ends.

              hsafa keys rotate 0198… --overlap-seconds 600
            """)

    @OptionGroup var connection: ConnectionOptions

    @Argument(help: "The key's id, as `hsafa keys list` shows it.")
    var keyId: String

    @OptionGroup var options: RotateKeyOptions

    func run() async throws { try await connection.withClient { try await options.rotate(keyId, $0.keys) } }
}

struct KeysRevoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke", abstract: "End a key at once and for good; its streams end too.",
        discussion: "  hsafa keys revoke 0198…")

    @OptionGroup var connection: ConnectionOptions

    @Argument(help: "The key's id, as `hsafa keys list` shows it.")
    var keyId: String

    func run() async throws {
        try await connection.withClient { try await $0.keys.revoke(keyId) }
        Terminal.error.line(Terminal.error.dim("revoked"))
    }
}
