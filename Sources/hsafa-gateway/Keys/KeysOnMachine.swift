import Argon2
import ArgumentParser
import Cryptography
import Domain
import Glibc
import JSON
import Logging
import NIOPosix
import Redis
import Storage

/// Work on keys with the owner's connection, and word of it to the gateways.
struct KeysOnMachine: Sendable {
    let bootstrap: Bootstrap

    static func run(_ body: @escaping @Sendable (KeysOnMachine) async throws -> Void) async throws {
        try await OwnerSession.run { client, _ in
            try await body(KeysOnMachine(bootstrap: Bootstrap(owner: client, author: author())))
        }
    }

    /// The account that runs this, for the audit log.
    static func author() -> ChangeAuthor {
        guard let entry = getpwuid(geteuid()), let name = entry.pointee.pw_name else {
            return ChangeAuthor(kind: .operator, id: "uid \(geteuid())")
        }
        return ChangeAuthor(kind: .operator, id: String(cString: name))
    }

    /// A new secret, hashed at the cost that the configuration asks for.
    static func makeSecret() async throws -> (CredentialToken, SecretRow) {
        let parameters: Argon2Parameters
        do { parameters = try Settings.machine().argon2 } catch let error as SettingsError { throw ValidationError(error.description) }
        let token = CredentialToken.generate(.apiKey)
        let hasher = PasswordHasher(threads: 1, maxQueued: 1, parameters: parameters)
        defer { hasher.shutDown() }
        let hash = try await hasher.hash(Array(token.text.utf8), salt: SecureRandom.bytes(parameters.saltBytes))
        return (token, SecretRow(publicID: token.id, hash: hash))
    }

    /// Tells the gateways to look; where Redis cannot be reached their own poll finds it.
    static func tellGateways(_ tell: @escaping @Sendable (RedisClient) -> Void = { _ in }) async {
        guard var configuration = try? Settings.machine().redis else { return }
        configuration.connectTimeoutMilliseconds = 1000
        let redis = RedisClient(
            configuration, eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
            logger: LineLogHandler.makeLogger(level: .critical, isJSON: false))
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                await redis.run()
                return false
            }
            group.addTask {
                // Commands go out in order: when the second was answered the first has arrived.
                tell(redis)
                return (try? await Wakeups(redis).keysChangedNow()) != nil
            }
            group.addTask {
                try? await Task.sleep(for: .seconds(2))
                return false
            }
            let isTold = await group.next() ?? false
            redis.shutDown()
            group.cancelAll()
            if !isTold { printError("Redis was not reached: every gateway hears of it within 5 s.") }
        }
    }

    static func printError(_ text: String) {
        let bytes = Array((text + "\n").utf8)
        bytes.withUnsafeBytes { buffer in _ = write(STDERR_FILENO, buffer.baseAddress, buffer.count) }
    }

    /// The key, this once.
    static func show(_ token: CredentialToken, _ keyID: APIKeyID, _ scope: TenantScope, isJSON: Bool) {
        if isJSON {
            print(
                RawJSON.object { writer in
                    writer.field("key", string: token.text)
                    writer.field("keyId", string: keyID.description)
                    writer.field("tenant", string: scope.slug)
                    writer.field("tenantId", string: scope.tenantID.description)
                }.string)
        } else {
            print(
                "\(token.text)\n\nThis is the only time that the key is shown. Send it as: Authorization: Bearer \(token.text.prefix(16))…")
        }
    }
}
