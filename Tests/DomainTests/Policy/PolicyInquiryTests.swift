import JSON
import Testing

@testable import Domain

/// A decision has one budget, whatever the policies and the arguments are.
struct PolicyInquiryTests {
    private func asked(_ arguments: String) throws -> PolicyQuestion {
        PolicyQuestion(
            tenantSlug: "acme", agentName: "support", target: .device, tool: "fs.read",
            arguments: try JSONDocument(parsing: Array(arguments.utf8)).root)
    }

    private func list(_ count: Int, _ text: String) -> String {
        #"{"q":["# + Array(repeating: "\"\(text)\"", count: count).joined(separator: ",") + "]}"
    }

    private static func searching(_ id: Int, _ pattern: String, _ effect: String = "deny") -> String {
        #"{"id":"r\#(id)","effect":"\#(effect)","when":{"properties":{"q":{"contains":{"pattern":"\#(pattern)"}}}}}"#
    }

    private func set(_ rules: [String]) throws -> PolicySet {
        try policies(#"{"version":1,"rules":[\#(rules.joined(separator: ","))]}"#)
    }

    @Test func `a policy against tens of thousands of strings stops at the budget and denies`() throws {
        // No single search comes near its own bound.
        let rules = (0..<50).map { Self.searching($0, "^(a|aa)+$") }
        let policies = EffectivePolicies(folder: try set([#"{"id":"open","effect":"allow"}"#] + rules))
        let text = String(repeating: "a", count: 8) + "!"
        var few = PolicyInquiry()
        #expect(policies.decide(try asked(list(2, text)), &few).effect == .allow)
        #expect(few.spent.patternSteps > 0 && few.spent.patternSteps < Limits.maxDecisionPatternSteps / 10)
        var many = PolicyInquiry()
        let decision = policies.decide(try asked(list(20_000, text)), &many)
        #expect(decision.isDenied && decision.code == "condition_undecided")
        #expect(many.spent.patternSteps == Limits.maxDecisionPatternSteps)
        #expect(many.spent.steps <= Limits.maxDecisionSteps)
        // The first rules decided nothing either: they found the budget large enough for some strings, and not for all.
        #expect(decision.rules.count == 50)
    }

    @Test func `many rules whose conditions ask for no pattern share a budget too`() throws {
        let rules = (0..<200).map { #"{"id":"r\#($0)","effect":"deny","when":{"properties":{"q":{"items":{"type":"integer"}}}}}"# }
        let numbers = #"{"q":["# + (0..<20_000).map(String.init).joined(separator: ",") + "]}"
        let policies = EffectivePolicies(folder: try set([#"{"id":"open","effect":"allow"}"#] + rules))
        var inquiry = PolicyInquiry()
        #expect(policies.decide(try asked(numbers), &inquiry).isDenied)
        #expect(inquiry.spent.steps == Limits.maxDecisionSteps)
    }

    @Test func `both layers and the explanation are within the same budget`() throws {
        let slow = try set((0..<20).map { Self.searching($0, "^(a|aa)+$") })
        let policies = EffectivePolicies(folder: try set([#"{"id":"open","effect":"allow"}"#]), tenant: slow)
        let question = try asked(list(20_000, "aaaaaaaa!"))
        var inquiry = PolicyInquiry()
        #expect(policies.decide(question, &inquiry).code == "condition_undecided")
        let explained = policies.explain(question, &inquiry)
        #expect(explained.count == 21 && explained.filter { $0.result == .undecided }.count == 20)
        #expect(inquiry.spent.patternSteps == Limits.maxDecisionPatternSteps)
    }

    @Test func `a condition is asked once of one call, whichever devices it might go to`() throws {
        let policies = EffectivePolicies(
            folder: try set([
                #"{"id":"lab","effect":"allow","devices":{"labels":{"zone":"lab"}}}"#, Self.searching(0, "^(a|aa)+$"),
            ]))
        var inquiry = PolicyInquiry()
        func decide(_ zone: String) throws -> PolicyDecision {
            let one = try asked(list(20, "aaaaaaaa!"))
            return policies.decide(
                PolicyQuestion(
                    tenantSlug: one.tenantSlug, agentName: one.agentName, target: .device, tool: one.tool, arguments: one.arguments,
                    device: .chosen(labels: ["zone": zone])), &inquiry)
        }
        #expect(try decide("lab").effect == .allow)
        let spent = inquiry.spent
        #expect(spent.patternSteps > 0)
        for _ in 0..<1000 { #expect(try decide("lab").effect == .allow) }
        #expect(try decide("office").isDenied)
        #expect(inquiry.spent == spent)
    }

    @Test func `a policy whose conditions come to too much is refused with the rule that is too much`() throws {
        let large = (0..<40).map { Self.searching($0, "(?:abcdefgh){0,600}") }
        let text = #"{"version":1,"rules":[\#(large.joined(separator: ","))]}"#
        let node = try JSONDocument(parsing: Array(text.utf8)).root
        let whole = try PolicyDocument(reading: node)
        #expect(whole.conditionBytes > 1 << 20)
        let violation = #expect(throws: JSONViolation.self) { try PolicyDocument(reading: node, maxConditionBytes: 1 << 20) }
        #expect(violation?.pointer.hasSuffix("/when") == true && violation?.message.contains("compiled") == true)
    }
}
