import Cryptography
public import Domain
public import JSON
public import Storage

/// A tenant's own policies, and what comes of them together with the operator's.
public struct PolicyService: Sendable {
    public struct Effective: Sendable {
        /// Of both layers.
        public let hash: String
        public let folderHash: String
        /// Of the operator's, those that can concern the tenant.
        public let folder: [PolicyRule]
        public let own: [TenantPolicyRecord]
    }

    public struct Written: Sendable {
        public let record: TenantPolicyRecord
        public let isNew: Bool
        /// Where it is wider than the operator's rules, and so without effect.
        public let warnings: [String]
    }

    private let database: Database
    private let folder: PolicyBook
    private let tenants: TenantPolicyBook
    private let gate: ToolGate
    private let notices: TenantNotices

    init(database: Database, folder: PolicyBook, tenants: TenantPolicyBook, gate: ToolGate, notices: TenantNotices) {
        self.database = database
        self.folder = folder
        self.tenants = tenants
        self.gate = gate
        self.notices = notices
    }

    public func effective(_ scope: TenantScope) async throws -> Effective {
        let own = try await database.tenant(scope).policies()
        let set = folder.current
        return Effective(
            hash: EffectivePolicies.hash(folder: set.hash, tenant: TenantLayer.hash(of: own)), folderHash: set.hash,
            folder: set.rules.filter { $0.concerns(tenantSlug: scope.slug) }, own: own)
    }

    /// In force at once here, and within seconds at every replica.
    public func put(_ scope: TenantScope, _ name: String, _ document: JSONNode, by author: ChangeAuthor) async throws -> Written {
        try Self.check(name)
        guard document.raw.count <= Limits.maxTenantPolicyBytes else {
            throw GatewayError.tooLarge("A policy", maxBytes: Limits.maxTenantPolicyBytes)
        }
        let parsed: PolicyDocument
        do throws(JSONViolation) {
            parsed = try PolicyDocument(reading: document, maxConditionBytes: Limits.maxTenantConditionBytes)
        } catch { throw GatewayError.invalidBody(error) }
        let text = document.rawJSON.compacted()
        let hash = "sha256:" + Hex.encode(SHA256.hash(text.bytes))
        let (record, isNew) = try await database.tenant(scope).changes(by: author).putPolicy(name, document: text, hash: hash) { others in
            guard others.count < Limits.maxPoliciesOfTenant else {
                throw GatewayError.conflict(
                    "too_many_policies", "A tenant has at most \(Limits.maxPoliciesOfTenant) policies; put these rules into one of them.")
            }
            let rules = others.reduce(parsed.rules.count) { sum, other in
                sum + ((try? other.document.document().root["rules"]?.count) ?? 0)
            }
            guard rules <= Limits.maxTenantPolicyRules else {
                throw GatewayError.conflict(
                    "too_many_rules", "A tenant has at most \(Limits.maxTenantPolicyRules) rules over all its policies; remove some first.")
            }
            let bytes = others.reduce(parsed.conditionBytes) { $0 + Self.conditionBytes($1) }
            guard bytes <= Limits.maxTenantConditionBytes else {
                throw GatewayError.conflict(
                    "conditions_too_large",
                    "The conditions of a tenant's policies take at most \(Limits.maxTenantConditionBytes) bytes together, compiled; "
                        + "use fewer or simpler patterns.")
            }
        }
        announce(scope)
        return Written(record: record, isNew: isNew, warnings: folder.current.warnings(about: parsed, tenantSlug: scope.slug))
    }

    /// Of one that is stored; one that cannot be read counts as all that there may be.
    private static func conditionBytes(_ record: TenantPolicyRecord) -> Int {
        let document = try? PolicyDocument(
            reading: record.document.document().root, maxConditionBytes: Limits.maxStoredConditionBytes)
        return document?.conditionBytes ?? Limits.maxTenantConditionBytes
    }

    public func delete(_ scope: TenantScope, _ name: String, by author: ChangeAuthor) async throws {
        guard (try? Self.check(name)) != nil, try await database.tenant(scope).changes(by: author).deletePolicy(name) else {
            throw GatewayError.notFound("policy")
        }
        announce(scope)
    }

    private func announce(_ scope: TenantScope) {
        tenants.forget(scope.tenantID)
        notices.publish(scope.tenantID)
    }

    private static func check(_ name: String) throws {
        guard Names.isValid(name) else {
            throw GatewayError(status: 422, code: "invalid_name", detail: "The policy's name \(Names.rule).")
        }
    }

    // MARK: Asking

    /// A dry run: nothing is counted and nothing is written. Rules of the operator's for other tenants are not shown.
    public func evaluate(
        _ scope: TenantScope, _ question: PolicyQuestion
    ) async throws -> (decision: PolicyDecision, rules: [RuleExplanation]) {
        let policies = try await gate.policies(scope)
        var inquiry = PolicyInquiry()
        let decision = policies.decide(question, &inquiry)
        let concerning = Set(policies.folder.rules.filter { $0.concerns(tenantSlug: scope.slug) }.map(\.id))
        return (decision, policies.explain(question, &inquiry).filter { $0.layer == .tenant || concerning.contains($0.rule) })
    }
}
