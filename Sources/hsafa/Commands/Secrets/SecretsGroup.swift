import ArgumentParser
import HsafaClient
import JSON

struct SecretsGroup: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "secrets",
        abstract: "Set, list and delete the tenant's secrets, which configs name as ${secret.NAME}.",
        discussion: """
            Needs secrets:read or secrets:write. A secret names the hosts that it may be sent to, and goes nowhere else. Its value is read
            from standard input and is never shown again.

              printf %s "$TOKEN" | hsafa secrets set CRM_TOKEN --host api.crm.example
              hsafa secrets list
              hsafa secrets delete CRM_TOKEN
              hsafa secrets rotate-webhook               (the key that signs the calls of external tools)
            """,
        subcommands: [SecretsSet.self, SecretsList.self, SecretsDelete.self, SecretsRotateWebhook.self])
}

struct SecretsSet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Store a secret whose value comes from standard input.",
        discussion: "  printf %s \"$TOKEN\" | hsafa secrets set CRM_TOKEN --host api.crm.example --host '*.crm.example:8443'")

    @OptionGroup var connection: ConnectionOptions

    @Argument(help: "Letters, digits and _, beginning with a letter.")
    var name: String

    @Option(name: .customLong("host"), help: "Where it may be sent: a name, *.name, or an address, with or without :port; may be repeated.")
    var hosts: [String]

    @Flag(help: "Print the gateway's answer.")
    var json = false

    func validate() throws {
        guard !hosts.isEmpty else { throw ValidationError("Give at least one --host.") }
    }

    func run() async throws {
        let value = try Self.readValue()
        try await connection.withClient { client in
            let secret = try await client.secrets.set(name, value: value, hosts: hosts)
            if json { return Terminal.output.json(secret.json.bytes) }
            Terminal.error.line(Terminal.error.dim("\(secret.name) may be sent to \(secret.hosts.joined(separator: ", "))"))
        }
    }

    /// All of standard input but one line break at its end, which an editor or echo adds.
    private static func readValue() throws -> String {
        var bytes: [UInt8] = []
        while let line = readLine(strippingNewline: false) {
            bytes += line.utf8
            guard bytes.count <= 64 * 1024 else { throw ValidationError("The value is larger than a secret can be.") }
        }
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
        guard !bytes.isEmpty else { throw ValidationError("Give the value on standard input.") }
        return String(decoding: bytes, as: UTF8.self)
    }
}

struct SecretsList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List secrets by name, without their values.",
        discussion: "  hsafa secrets list --json | jq -r .name")

    @OptionGroup var connection: ConnectionOptions

    @OptionGroup var list: ListOptions

    func run() async throws {
        try await connection.withClient { client in
            try await list.show(["NAME", "HOSTS", "UPDATED"]) { size, cursor in
                try await client.secrets.list(limit: size, cursor: cursor)
            } row: { secret in
                ([secret.name, secret.hosts.joined(separator: " "), secret.updatedAt ?? "-"], secret.json)
            }
        }
    }
}

struct SecretsDelete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete a secret at once; configs that name it fail at their next use of it.",
        discussion: "  hsafa secrets delete CRM_TOKEN")

    @OptionGroup var connection: ConnectionOptions

    @Argument(help: "The secret's name.")
    var name: String

    func run() async throws {
        try await connection.withClient { try await $0.secrets.delete(name) }
        Terminal.error.line(Terminal.error.dim("deleted"))
    }
}

struct SecretsRotateWebhook: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate-webhook", abstract: "Make a new key that signs the calls of external tools, and print it, once.",
        discussion: """
            The key before signs as well for the overlap, so that a system may check either.

              hsafa secrets rotate-webhook --overlap-seconds 600
            """)

    @OptionGroup var connection: ConnectionOptions

    @Option(help: "How long the key before signs as well, 0 to 2592000. Default: an hour.")
    var overlapSeconds: Int?

    func run() async throws {
        try await connection.withClient { client in
            let issued = try await client.rotateWebhookSecret(overlapSeconds: overlapSeconds)
            Terminal.output.line(issued.secret)
            Terminal.error.line(Terminal.error.dim("it is shown this once"))
        }
    }
}
