import Domain
import Hummingbird
import JSON
import Runtime
import Storage

/// `POST /api/runs/{runId}/tokens` {grants?, expiresSeconds?}: the token is shown this once.
struct CreateRunToken: CreatingOperation {
    static let audit = AuditRule.logs([.runTokenCreate])
    let gateway: Gateway

    func requireParent(_ context: AuthenticatedContext) async throws {
        _ = try await gateway.runs.get(context.scope, try runID(context))
    }

    func read(_ request: CreationRequest, _ context: AuthenticatedContext) throws -> RunTokenRequest {
        try QueryReader.refuseAny(request.head)
        var reader = try JSONObjectReader(try request.jsonIfPresent()?.root ?? JSONDocument(parsing: Array("{}".utf8)).root)
        let grants = try Self.grants(&reader)
        let seconds = try reader.optionalInt("expiresSeconds", in: 1...Limits.maxRunTokenSeconds)
        try reader.finish()
        try RunTokenService.requireToHold(grants, context.principal)
        return RunTokenRequest(grants: grants, seconds: seconds ?? Limits.defaultRunTokenSeconds)
    }

    func create(_ draft: RunTokenRequest, in tenant: TenantDatabase, _ context: AuthenticatedContext) async throws -> IssuedRunToken {
        try await gateway.runTokens.issue(
            draft, of: try runID(context), in: tenant, issuer: context.principal, by: context.author)
    }

    func answer(_ issued: IssuedRunToken) -> CreationAnswer {
        Answer.creation(secretID: issued.tokenID.description) { writer in
            writer.field("tokenId", string: issued.tokenID.description)
            writer.field("token", string: issued.text)
            writer.field("runId", string: issued.runID.description)
            writer.field("grants", strings: issued.grants.map(\.rawValue))
            writer.field("createdAt", time: issued.createdAt)
            writer.field("expiresAt", time: issued.expiresAt)
        }
    }

    private func runID(_ context: AuthenticatedContext) throws(GatewayError) -> RunID {
        try context.parameters.id("runId", "run")
    }

    private static func grants(_ reader: inout JSONObjectReader) throws -> Set<RunTokenGrant> {
        let pointer = reader.pointer(to: "grants")
        guard let node = try reader.optionalNode("grants") else { return [] }
        let rule = "must be an array of \(RunTokenGrant.allCases.map(\.rawValue).joined(separator: ", ")), each at most once"
        guard node.kind == .array, node.count <= RunTokenGrant.allCases.count else {
            throw JSONViolation(pointer: pointer, message: rule)
        }
        var grants: Set<RunTokenGrant> = []
        for (index, element) in node.elements.enumerated() {
            guard let grant = element.string.flatMap(RunTokenGrant.init(rawValue:)), grants.insert(grant).inserted else {
                throw JSONViolation(pointer: "\(pointer)/\(index)", message: rule)
            }
        }
        return grants
    }
}
