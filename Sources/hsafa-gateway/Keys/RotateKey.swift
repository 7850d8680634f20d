import ArgumentParser
import Domain
import Storage

struct RotateKey: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate",
        abstract: "Give a key a new secret and print it, once.",
        discussion: """
            The key keeps its id, its scopes and its expiry. The secret before is good for the overlap, so that whoever uses it can change
            over; a secret that got out is rotated with --overlap-seconds 0.

              hsafa-gateway keys rotate --tenant acme --key 0198… --overlap-seconds 600
            """)

    @OptionGroup var owner: KeyOwnerOptions
    @OptionGroup var key: KeyIDOption

    @Option(help: "How long the secret before is good as well, 0 to 2592000.")
    var overlapSeconds = Limits.defaultKeyOverlapSeconds

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        guard (0...Limits.maxKeyOverlapSeconds).contains(overlapSeconds) else {
            throw ValidationError("--overlap-seconds must be 0 to \(Limits.maxKeyOverlapSeconds)")
        }
    }

    func run() async throws {
        let (owner, id, overlap, isJSON) = (owner, try key.id(), overlapSeconds, json)
        try await KeysOnMachine.run { machine in
            let scope = try await owner.scope(machine.bootstrap)
            let changes = machine.bootstrap.changes(of: scope)
            guard let known = try await changes.database.apiKey(id) else { throw ValidationError("\(owner.slug) has no key \(id)") }
            guard known.status() == .active else { throw ValidationError("this key is \(known.status().rawValue); make a new one") }
            let (token, secret) = try await KeysOnMachine.makeSecret()
            let rotated = try await changes.rotateKey(
                id, generation: known.generation, secret, overlapSeconds: overlap, expiresAt: nil, issuer: nil)
            guard rotated != nil else { throw ValidationError("the key was changed by somebody else at the same time; try again") }
            KeysOnMachine.show(token, id, scope, isJSON: isJSON)
            await KeysOnMachine.tellGateways()
        }
    }
}
