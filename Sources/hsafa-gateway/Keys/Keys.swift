import ArgumentParser
import Domain
import Storage

struct Keys: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make, list, rotate and revoke API keys on this machine.",
        discussion: """
            For the first key of a tenant, and for the keys of the platform's admins, which can be made nowhere else. Everything else can
            be done over the API as well: hsafa keys, hsafa admin keys.

            Connects with DATABASE_OWNER_URL (or DATABASE_URL). What is rotated or revoked is heard by every gateway within a second where
            REDIS_URL can be reached from here, otherwise within five seconds.

              hsafa-gateway keys create --tenant acme
              hsafa-gateway keys list --tenant acme
              hsafa-gateway keys rotate --tenant acme --key 0198… --overlap-seconds 600
              hsafa-gateway keys revoke --admin --key 0198…
            """,
        subcommands: [CreateKey.self, ListKeys.self, RotateKey.self, RevokeKey.self])
}

/// Whose keys: a tenant's, or those of the platform's admins.
struct KeyOwnerOptions: ParsableArguments {
    @Flag(help: "Keys of the platform's admins, for /api/admin.")
    var admin = false

    @Option(help: "Slug of the tenant: lower case letters, digits and dashes.")
    var tenant: String?

    var slug: String { tenant ?? Bootstrap.platformSlug }

    func validate() throws {
        guard admin != (tenant != nil) else { throw ValidationError("give either --tenant SLUG or --admin") }
        if let tenant, !Slug.isValid(tenant) {
            throw ValidationError("--tenant \(tenant): a slug is 1 to 63 lower case letters, digits and dashes, with no dash at its ends")
        }
        if let tenant, tenant == Bootstrap.platformSlug { throw ValidationError("--tenant platform is the admins' own; use --admin") }
    }

    /// The tenant of this slug, which must be there.
    func scope(_ bootstrap: Bootstrap) async throws -> TenantScope {
        guard let scope = try await bootstrap.tenant(slug: slug) else {
            throw ValidationError(
                admin
                    ? "there is no admin yet; make the first key with: hsafa-gateway keys create --admin" : "there is no tenant \(slug)")
        }
        return scope
    }
}

struct KeyIDOption: ParsableArguments {
    @Option(name: .customLong("key"), help: "The key's id, as `keys list` shows it.")
    var keyID: String

    func validate() throws {
        guard APIKeyID(keyID) != nil else { throw ValidationError("--key \(keyID) is no id of a key; `keys list` shows them") }
    }

    func id() throws -> APIKeyID {
        guard let id = APIKeyID(keyID) else { throw ValidationError("--key \(keyID) is no id of a key") }
        return id
    }
}
