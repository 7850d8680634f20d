import ArgumentParser
import Domain
import Storage

struct RevokeKey: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke",
        abstract: "End a key at once and for good; its streams end too.",
        discussion: """
              hsafa-gateway keys revoke --tenant acme --key 0198…
              hsafa-gateway keys revoke --admin --key 0198…
            """)

    @OptionGroup var owner: KeyOwnerOptions
    @OptionGroup var key: KeyIDOption

    func run() async throws {
        let (owner, id) = (owner, try key.id())
        try await KeysOnMachine.run { machine in
            let changes = machine.bootstrap.changes(of: try await owner.scope(machine.bootstrap))
            guard try await changes.revokeKey(id) != nil else {
                guard try await changes.database.apiKey(id) != nil else { throw ValidationError("\(owner.slug) has no key \(id)") }
                print("The key was revoked already.")
                return
            }
            print("The key is revoked.")
            await KeysOnMachine.tellGateways()
        }
    }
}
