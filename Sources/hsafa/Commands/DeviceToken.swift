import ArgumentParser
import HsafaClient
import JSON

struct DeviceToken: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Make an enrolment token: good for one device, for a short time.",
        discussion: """
            Prints the token alone, so that a script can take it; --json prints the audience and the expiry too.

              hsafa device token --label zone=demo --auto-approve
              hsafa device token --allow-tool fs.read --allow-tool uname --expires-seconds 600
            """)

    @OptionGroup var connection: ConnectionOptions

    @Option(name: .customLong("label"), help: "A label of the device, NAME=VALUE; may be repeated.")
    var labels: [String] = []

    @Option(
        name: .customLong("allow-tool"), help: "A tool that the device may be asked for; may be repeated. Default: what policies allow.")
    var allowedTools: [String] = []

    @Flag(help: "The device is active at once, without approval.")
    var autoApprove = false

    @Option(help: "Only the device with this key may use the token.")
    var deviceKey: String?

    @Option(help: "How long the token is good.")
    var expiresSeconds: Int?

    @Flag(help: "Print the gateway's answer.")
    var json = false

    func validate() throws { _ = try pairs() }

    func run() async throws {
        let pairs = try pairs()
        try await connection.withClient { client in
            let token = try await client.enrollmentTokens.create(
                labels: pairs, allowedTools: allowedTools.isEmpty ? nil : allowedTools, autoApprove: autoApprove, deviceKey: deviceKey,
                expiresSeconds: expiresSeconds)
            if json { return Terminal.output.json(token.json.bytes) }
            Terminal.output.line(token.token)
            Terminal.error.line(Terminal.error.dim("audience \(token.audience), expires \(token.expiresAt)"))
        }
    }

    private func pairs() throws -> [(String, String)] {
        try labels.map { label in
            guard let equals = label.firstIndex(of: "="), equals != label.startIndex else {
                throw ValidationError("--label must be NAME=VALUE.")
            }
            return (String(label[..<equals]), String(label[label.index(after: equals)...]))
        }
    }
}
