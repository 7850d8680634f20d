import ArgumentParser
import Domain
import HsafaClient
import JSON

struct KeysGroup: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys",
        abstract: "List, create, rotate and revoke the tenant's API keys.",
        discussion: """
            Needs keys:read or keys:write. A key hands out only scopes that it has itself, and no longer than it is good.

              hsafa keys create --name ci --scope runs:read --scope runs:write --expires-days 90
              hsafa keys list
              hsafa keys rotate 0198…                  (the secret before is good for an hour more)
              hsafa keys rotate 0198… --overlap-seconds 0   (it got out: it ends now)
              hsafa keys revoke 0198…
            """,
        subcommands: [KeysList.self, KeysCreate.self, KeysRotate.self, KeysRevoke.self])
}

/// What each command on keys takes, of the tenant's own and of admins.
struct NewKeyOptions: ParsableArguments {
    @Option(help: "What the key is for; shown in lists.")
    var name: String

    @Option(name: .customLong("scope"), help: "A scope of the key, e.g. runs:read; may be repeated.")
    var scopes: [String]

    @Option(help: "How many days the key is good. Default: as long as the key that issues it.")
    var expiresDays: Int?

    @Flag(help: "Print the gateway's answer.")
    var json = false

    func validate() throws {
        for scope in scopes where Scope(rawValue: scope) == nil {
            throw ValidationError("--scope \(scope) is none of \(Scope.allCases.map(\.rawValue).joined(separator: ", ")).")
        }
        guard !scopes.isEmpty else { throw ValidationError("Give at least one --scope.") }
        if let expiresDays, !(1...36_500).contains(expiresDays) { throw ValidationError("--expires-days must be 1 to 36,500.") }
    }

    func create(_ keys: HsafaClient.KeysAPI) async throws {
        let expiresAt = expiresDays.map { Timestamp.now().adding(seconds: $0 * 86_400).description }
        IssuedKeyPrinter.show(try await keys.create(name: name, scopes: scopes, expiresAt: expiresAt), isJSON: json)
    }
}

struct RotateKeyOptions: ParsableArguments {
    @Option(help: "How long the secret before is good as well, 0 to 2592000. Default: an hour.")
    var overlapSeconds: Int?

    @Flag(help: "Print the gateway's answer.")
    var json = false

    func validate() throws {
        if let overlapSeconds, !(0...Limits.maxKeyOverlapSeconds).contains(overlapSeconds) {
            throw ValidationError("--overlap-seconds must be 0 to \(Limits.maxKeyOverlapSeconds).")
        }
    }

    func rotate(_ keyId: String, _ keys: HsafaClient.KeysAPI) async throws {
        IssuedKeyPrinter.show(try await keys.rotate(keyId, overlapSeconds: overlapSeconds), isJSON: json)
    }
}

extension HsafaClient.KeysAPI {
    /// A key's rows, for whoever may list them.
    func show(_ list: ListOptions) async throws {
        try await list.show(["ID", "NAME", "STATUS", "LAST USED", "EXPIRES", "SCOPES"]) { size, cursor in
            try await self.list(limit: size, cursor: cursor)
        } row: { key in
            ([key.keyId, key.name, key.status, key.lastUsedAt ?? "-", key.expiresAt ?? "-", key.scopes.joined(separator: " ")], key.json)
        }
    }
}

/// The key alone on standard output, so that a script can take it; what people need to know beside it on standard error.
enum IssuedKeyPrinter {
    static func show(_ issued: IssuedKey, isJSON: Bool) {
        if isJSON { return Terminal.output.json(issued.json.bytes) }
        Terminal.output.line(issued.text)
        let expiry = issued.key.expiresAt.map { ", expires \($0)" } ?? ""
        Terminal.error.line(Terminal.error.dim("key \(issued.key.keyId)\(expiry); it is shown this once"))
    }
}
