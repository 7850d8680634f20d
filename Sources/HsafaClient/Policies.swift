public import JSON

/// A policy of the tenant's own layer.
public struct TenantPolicy: Sendable {
    public let name: String
    public let hash: String
    public let revision: Int
    public let updatedAt: String?
    /// Where it is wider than the operator's rules, and so without effect; of answers to writing alone.
    public let warnings: [String]
    public let json: RawJSON

    init(_ node: JSONNode) throws(HsafaClientError) {
        guard let name = node["name"]?.string, let hash = node["hash"]?.string else {
            throw .malformed("A policy without “name” and “hash”.")
        }
        self.name = name
        self.hash = hash
        revision = node["revision"]?.int ?? 0
        updatedAt = node["updatedAt"]?.string
        warnings = (node["warnings"]?.elements).map { $0.compactMap(\.string) } ?? []
        json = node.rawJSON
    }
}

/// What is in force for the tenant.
public struct EffectivePolicies: Sendable {
    public let hash: String
    /// The operator's rules that can concern the tenant, as they are.
    public let folderRules: [RawJSON]
    public let policies: [TenantPolicy]
    public let json: RawJSON
}

/// What would be decided about a call.
public struct PolicyEvaluation: Sendable {
    public struct Rule: Sendable {
        public let rule: String
        /// folder or tenant.
        public let layer: String
        public let effect: String
        /// matched, possible, not_matched or undecided.
        public let result: String
        public let because: String
    }

    /// allow, deny or require_approval.
    public let decision: String
    public let reason: String
    public let rules: [String]
    public let evaluated: [Rule]
    public let json: RawJSON
}

extension HsafaClient {
    public var policies: PoliciesAPI { PoliciesAPI(client: self) }

    public struct PoliciesAPI: Sendable {
        let client: HsafaClient

        public func get() async throws(HsafaClientError) -> EffectivePolicies {
            let answer = try await client.call("GET", "/api/policies")
            var own: [TenantPolicy] = []
            for node in answer.root["policies"].map({ Array($0.elements) }) ?? [] { own.append(try TenantPolicy(node)) }
            return EffectivePolicies(
                hash: try answer.string("hash"), folderRules: (answer.root["folder"]?["rules"]?.elements).map { $0.map(\.rawJSON) } ?? [],
                policies: own, json: answer.json)
        }

        /// - Parameter document: a policy file in its JSON form: `{"version":1,"rules":[…]}`.
        public func put(_ name: String, _ document: RawJSON) async throws(HsafaClientError) -> TenantPolicy {
            try TenantPolicy(try await client.call("PUT", "/api/policies/\(percentEncode(name))", body: document).root)
        }

        public func delete(_ name: String) async throws(HsafaClientError) {
            _ = try await client.call("DELETE", "/api/policies/\(percentEncode(name))")
        }

        /// - Parameter question: `{"agent"?, "target", "tool", "arguments"?, "device"?}`.
        public func evaluate(_ question: RawJSON) async throws(HsafaClientError) -> PolicyEvaluation {
            let answer = try await client.call("POST", "/api/policies/evaluate", body: question)
            let rules = (answer.root["evaluated"]?.elements).map { elements in
                elements.map { node in
                    PolicyEvaluation.Rule(
                        rule: node["rule"]?.string ?? "", layer: node["layer"]?.string ?? "", effect: node["effect"]?.string ?? "",
                        result: node["result"]?.string ?? "", because: node["because"]?.string ?? "")
                }
            }
            return PolicyEvaluation(
                decision: try answer.string("decision"), reason: try answer.string("reason"),
                rules: (answer.root["rules"]?.elements).map { $0.compactMap(\.string) } ?? [], evaluated: rules ?? [], json: answer.json)
        }
    }
}
