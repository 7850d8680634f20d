import JSON
import JSONSchema

/// What is asked about one call: its arguments are looked at within one budget, however many rules have a condition and however many devices
/// it might go to. What a condition said once it is not asked again, so an inquiry is of one call's arguments and of one set of policies.
public struct PolicyInquiry: Sendable {
    private var budget = JSONSchemaBudget(steps: Limits.maxDecisionSteps, patternSteps: Limits.maxDecisionPatternSteps)
    private var verdicts: [String: JSONSchema.Verdict] = [:]

    public init() {}

    /// What was spent, in the steps of `Limits.maxDecisionSteps` and `maxDecisionPatternSteps`.
    public var spent: (steps: Int, patternSteps: Int) {
        (Limits.maxDecisionSteps - budget.steps, Limits.maxDecisionPatternSteps - budget.patternSteps)
    }

    mutating func verdict(of condition: PolicyCondition, in rule: String, on arguments: JSONNode) -> JSONSchema.Verdict {
        if let known = verdicts[rule] { return known }
        let verdict = budget.isSpent ? .undecided : condition.verdict(arguments, within: &budget)
        verdicts[rule] = verdict
        return verdict
    }

    /// The first thing that is wrong with the arguments, for people; empty where nothing is, or where the budget is spent.
    mutating func fault(_ condition: PolicyCondition, on arguments: JSONNode) -> String {
        budget.isSpent ? "" : condition.fault(arguments, within: &budget)
    }
}
