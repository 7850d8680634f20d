import ArgumentParser
import Domain
import Storage

struct CreateKey: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Make a key and print it, once.",
        discussion: """
            Only an argon2id hash is stored, so a lost key cannot be shown again. A tenant that does not exist yet is created.

              hsafa-gateway keys create --tenant acme
              hsafa-gateway keys create --tenant acme --scope runs:read --scope runs:write --name ci --expires-days 90
              hsafa-gateway keys create --admin
            """)

    @OptionGroup var owner: KeyOwnerOptions

    @Option(help: "What the key is for; shown in lists.")
    var name = "made on the machine"

    @Option(help: "A scope of the key; repeat it. Without any, a tenant's key has all of them.")
    var scope: [String] = []

    @Option(help: "How many days the key is good; without it, until it is revoked.")
    var expiresDays: Int?

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        for text in scope where Scope(rawValue: text) == nil {
            throw ValidationError("--scope \(text) is none of \(Scope.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        guard !owner.admin || scope.isEmpty else { throw ValidationError("a key of an admin has no scopes: it is for /api/admin alone") }
        guard (1...Limits.maxKeyNameBytes).contains(name.utf8.count), !name.utf8.contains(where: { $0 < 0x20 }) else {
            throw ValidationError("--name must be 1 to \(Limits.maxKeyNameBytes) bytes on one line")
        }
        if let expiresDays, !(1...36_500).contains(expiresDays) { throw ValidationError("--expires-days must be 1 to 36500") }
    }

    func run() async throws {
        let (owner, name, isJSON) = (owner, name, json)
        let scopes = owner.admin ? [] : scope.isEmpty ? Scope.allCases : scope.compactMap(Scope.init(rawValue:))
        let expiresAt = expiresDays.map { Timestamp.now().adding(seconds: $0 * 86_400) }
        try await KeysOnMachine.run { machine in
            let tenantID = try await machine.bootstrap.ensureTenant(slug: owner.slug, name: owner.slug)
            let (token, secret) = try await KeysOnMachine.makeSecret()
            let keyID = try await machine.bootstrap.insertKey(
                tenant: tenantID, publicID: secret.publicID, name: name, secretHash: secret.hash, scopes: scopes, isAdmin: owner.admin,
                expiresAt: expiresAt)
            KeysOnMachine.show(token, keyID, TenantScope(tenantID: tenantID, slug: owner.slug), isJSON: isJSON)
        }
    }
}
