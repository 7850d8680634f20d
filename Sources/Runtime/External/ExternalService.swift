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
    private let publicURL: String
    private let runs: RunService
    private let logger: Logger

    init(database: Database, configuration: GatewayConfiguration, runs: RunService, logger: Logger) {
        self.database = database
        keys = configuration.masterKeys
        publicURL = configuration.publicURL
        self.runs = runs
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

    func token(_ due: DueCall) -> String? { keys.map { ResultToken.make(due.scope.tenantID, due.runID, due.callID, $0) } }

    func resultURL(_ call: CallID) -> String { "\(publicURL)/api/tool-results/\(call)" }

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

    /// A call whose own token was shown.
    public struct Answerable: Sendable {
        public let callID: CallID
        public let place: ExternalCallPlace
        public var scope: TenantScope { place.scope }
    }

    /// 401 for a token that is not this call's, whether there is such a call or not.
    public func call(_ id: String?, token: String?) async throws -> Answerable {
        guard let keys, let callID = id.flatMap({ CallID($0) }), let token,
            let (tenantID, runID) = ResultToken.verify(token, for: callID, keys),
            let place = try await database.externalCall(tenantID, runID, callID)
        else {
            throw GatewayError(
                status: 401, code: "invalid_result_token", detail: "Send the resultToken of this call as `Authorization: Bearer hxt_…`.")
        }
        guard !place.isSuspended else { throw GatewayError.tenantSuspended }
        return Answerable(callID: callID, place: place)
    }

    /// False: an earlier outcome stands.
    public func submit(_ outcome: ToolOutcome, for call: Answerable) async throws -> Bool {
        try await runs.submitResult(call.scope, call.place.runID, callID: call.callID, outcome: outcome)
    }
}
