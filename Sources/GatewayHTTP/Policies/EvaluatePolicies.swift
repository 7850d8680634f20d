import Domain
import Hummingbird
import JSON
import Runtime

/// `POST /api/policies/evaluate` {agent?, target, tool, arguments?, device?}: a dry run: the decision, and what each rule had to say.
struct EvaluatePolicies: Operation {
    static let audit = AuditRule.omitted(because: "it asks and changes nothing")
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        try QueryReader.refuseAny(request)
        let body = try await JSONBody.read(request)
        let question = try PolicyQuestion(reading: body.root, at: "", tenantSlug: context.scope.slug)
        let (decision, rules) = try await gateway.tenantPolicies.evaluate(context.scope, question)
        return Answer.object(capacity: 1024 + rules.count * 160) { writer in
            decision.write(to: &writer)
            writer.key("evaluated")
            writer.beginArray()
            for rule in rules { rule.write(to: &writer) }
            writer.endArray()
        }
    }
}
