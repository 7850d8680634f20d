import Argon2
import ArgumentParser
import Cryptography
import Domain
import JSON
import Storage

struct Keys: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Make API keys on this machine.", subcommands: [Create.self])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a key and print it, once.",
            discussion: """
                Only an argon2id hash is stored, so a lost key cannot be shown again. A tenant that does not exist yet is created.

                  hsafa-gateway keys create --tenant acme
                  hsafa-gateway keys create --tenant acme --scope runs:read --scope runs:write --name ci
                  hsafa-gateway keys create --admin
                """)

        @Flag(help: "A key of the platform's admins, for /api/admin.")
        var admin = false

        @Option(help: "Slug of the tenant: lower case letters, digits and dashes.")
        var tenant: String?

        @Option(help: "What the key is for; shown in lists.")
        var name = "made on the machine"

        @Option(help: "A scope of the key; repeat it. Without any, a tenant's key has all of them.")
        var scope: [String] = []

        @Flag(help: "Print one JSON object.")
        var json = false

        func validate() throws {
            guard admin != (tenant != nil) else { throw ValidationError("give either --tenant SLUG or --admin") }
            if let tenant, !Slug.isValid(tenant) {
                throw ValidationError(
                    "--tenant \(tenant): a slug is 1 to 63 lower case letters, digits and dashes, with no dash at its ends")
            }
            if let tenant, tenant == Bootstrap.platformSlug { throw ValidationError("--tenant platform is the admins' own; use --admin") }
            for text in scope where Scope(rawValue: text) == nil {
                throw ValidationError("--scope \(text) is none of \(Scope.allCases.map(\.rawValue).joined(separator: ", "))")
            }
        }

        func run() async throws {
            let isAdmin = admin
            let slug = tenant ?? Bootstrap.platformSlug
            let scopes = isAdmin ? [] : scope.isEmpty ? Scope.allCases : scope.compactMap(Scope.init(rawValue:))
            let (name, isJSON) = (name, json)
            try await OwnerSession.run { client, _ in
                let bootstrap = Bootstrap(owner: client)
                let tenantID = try await bootstrap.ensureTenant(slug: slug, name: slug)
                let token = CredentialToken.generate(.apiKey)
                let hasher = PasswordHasher(threads: 1, maxQueued: 1)
                defer { hasher.shutDown() }
                let hash = try await hasher.hash(Array(token.text.utf8), salt: SecureRandom.bytes(16))
                let keyID = try await bootstrap.insertKey(
                    tenant: tenantID, publicID: token.id, name: name, secretHash: hash, scopes: scopes, isAdmin: isAdmin)
                if isJSON {
                    print(
                        RawJSON.object { writer in
                            writer.field("key", string: token.text)
                            writer.field("keyId", string: keyID.description)
                            writer.field("tenant", string: slug)
                            writer.field("tenantId", string: tenantID.description)
                        }.string)
                } else {
                    print(
                        "\(token.text)\n\nThis is the only time that the key is shown. Send it as: Authorization: Bearer \(token.text.prefix(16))…"
                    )
                }
            }
        }
    }
}
