/// What validations that belong together may spend, whatever the schemas and the instance are: where it is used up, what is left is undecided.
/// Counted, not timed, so that the same question has the same answer on every machine.
public struct JSONSchemaBudget: Sendable, Hashable {
    /// Applications of a subschema to a value, and looks at values by their bytes; of some 100 ns each.
    public private(set) var steps: Int
    /// Items of patterns that are tried, and bytes that searches pass over; of some 20 ns each.
    public private(set) var patternSteps: Int

    public init(steps: Int, patternSteps: Int) {
        self.steps = steps
        self.patternSteps = patternSteps
    }

    public var isSpent: Bool { steps <= 0 || patternSteps <= 0 }

    /// false when there was not so much left.
    mutating func spend(steps amount: Int) -> Bool {
        guard amount <= steps else {
            steps = 0
            return false
        }
        steps -= amount
        return true
    }

    mutating func spend(patternSteps amount: Int) { patternSteps = max(0, patternSteps - amount) }
}
