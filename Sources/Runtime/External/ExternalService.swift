import Cryptography
public import Domain
import JSON
import Logging
public import Storage

/// A signing secret, shown this once.
public struct IssuedWebhookSecret: Sendable {
    public let text: String
    public let rotatedAt: Timestamp
    public let previousExpiresAt: Timestamp?
}

/// Calls that are answered outside: their signing secrets, and their answers that come later.
public struct ExternalService: Sendable {
    private let database: Database
    private let keys: MasterKeys?
    private let runs: RunService
    private let versions: VersionBook
    private let secrets: SecretService
    private let logger: Logger

    init(
        database: Database, keys: MasterKeys?, runs: RunService, versions: VersionBook, secrets: SecretService, logger: Logger
    ) {
        self.database = database
        self.keys = keys
        self.runs = runs
        self.versions = versions
        self.secrets = secrets
        self.logger = logger
    }

    /// What the sealed text of a signing secret is bound to; no secret of the API can have this name.
    public static func seal(_ tenant: TenantID) -> SecretSeal { SecretSeal(tenant: tenant, name: "webhook-secret", hosts: []) }

    // MARK: Signing

    public func rotateSecret(
        in tenant: TenantDatabase, overlapSeconds: Int, by author: ChangeAuthor
    ) async throws -> IssuedWebhookSecret {
        guard let keys else { throw GatewayError.noMasterKey }
        let secret = WebhookSecret()
        let sealed: SealedSecret
        do { sealed = try Self.seal(tenant.tenantID).seal(secret.text, keys) } catch { throw GatewayError.internal("\(error)") }
        guard let record = try await tenant.changes(by: author).rotateWebhookSecret(sealed, overlapSeconds: overlapSeconds) else {
            throw GatewayError.internal("the webhook secret was not written")
        }
        return IssuedWebhookSecret(text: secret.text, rotatedAt: record.rotatedAt, previousExpiresAt: record.previousExpiresAt)
    }

    /// The current one first; empty when the tenant has none, or it does not open.
    func signers(_ scope: TenantScope) async throws -> [WebhookSecret] {
        guard let keys, let record = try await database.tenant(scope).webhookSecret() else { return [] }
        return ([record.current] + (record.previous.map { [$0] } ?? [])).compactMap { sealed in
            do { return WebhookSecret(try Self.seal(scope.tenantID).open(sealed, keys)) } catch {
                logger.error("webhook secret does not open", metadata: ["tenant": "\(scope.tenantID)", "cause": "\(error)"])
                return nil
            }
        }
    }

    func token(_ call: DueCall) -> String? { keys.map { ResultToken.make(call.scope.tenantID, call.runID, call.callID, $0) } }

    /// What a config with external endpoints needs before it is published.
    static func violations(of config: AgentConfig, at pointer: String, in tenant: TenantDatabase) async throws -> [JSONViolation] {
        let places = config.tools.indices.filter { config.tools[$0].external != nil }
        guard !places.isEmpty, try await tenant.webhookSecret() == nil else { return [] }
        return places.map { index in
            JSONViolation(
                pointer: "\(pointer)/tools/\(index)/execution",
                message: "is called with a signature, and this tenant has no signing secret; POST /api/webhook-secret/rotate first")
        }
    }

    // MARK: Answers

    /// 401 for a token that is not this call's, whether there is such a call or not. False: an earlier outcome stands.
    public func submitResult(_ callID: CallID?, token: String?, outcome: () async throws -> ToolOutcome) async throws -> Bool {
        guard let keys, let callID, let token, let (tenantID, runID) = ResultToken.verify(token, for: callID, keys),
            let place = try await database.externalCall(tenantID, runID, callID)
        else {
            throw GatewayError(
                status: 401, code: "invalid_result_token", detail: "Send the resultToken of this call as `Authorization: Bearer hxt_…`.")
        }
        guard !place.isSuspended else { throw GatewayError.tenantSuspended }
        let config = try await versions.config(place.scope, place.versionID)
        let values = SecretValues(try await secrets.open(config.secretNames, place.scope))
        return try await runs.submitResult(place.scope, runID, callID: callID, outcome: values.cut(from: try await outcome()))
    }
}
