import JSON
import Testing

@testable import JSONSchema

/// What many searches and checks may spend together, in counted steps.
struct BudgetTests {
    private func document(_ text: String) throws -> JSONNode { try JSONDocument(parsing: Array(text.utf8)).root }
    private func schema(_ text: String) throws -> JSONSchema { try JSONSchema(try document(text)) }

    private func strings(_ count: Int, _ text: String) throws -> JSONNode {
        try document("[" + Array(repeating: "\"\(text)\"", count: count).joined(separator: ",") + "]")
    }

    @Test func `the searches of one validation are bounded in sum`() throws {
        // Each search stays within its own bound, and there are twenty thousand.
        let slow = try schema(#"{"items":{"pattern":"^(a|aa)+$"}}"#)
        let word = String(repeating: "a", count: 12) + "!"
        #expect(slow.verdict(on: try strings(1, word)) == .rejects)
        #expect(slow.verdict(on: try strings(20_000, word)) == .undecided)
        let plain = try schema(#"{"items":{"pattern":"^a+!$"}}"#)
        #expect(plain.verdict(on: try strings(20_000, word)) == .accepts)
    }

    @Test func `a budget that validations share is spent by all of them, and not overdrawn`() throws {
        var budget = JSONSchemaBudget(steps: 1_000_000, patternSteps: 10_000)
        let schema = try schema(#"{"items":{"pattern":"^(a|aa)+$"}}"#)
        let one = try strings(1, String(repeating: "a", count: 10) + "!")
        var verdicts: [JSONSchema.Verdict] = []
        for _ in 0..<200 { verdicts.append(schema.verdict(on: one, within: &budget)) }
        let spent = verdicts.prefix { $0 == .rejects }.count
        #expect(spent > 1 && spent < 200)
        #expect(verdicts.dropFirst(spent).allSatisfy { $0 == .undecided })
        #expect(budget.patternSteps == 0)
        // What asks for no pattern goes on.
        #expect(try self.schema(#"{"type":"array"}"#).verdict(on: one, within: &budget) == .accepts)
        #expect(try JSONSchema(try document("true")).verdict(on: one, within: &budget) == .accepts)
    }

    @Test func `steps of schemas are shared like those of patterns`() throws {
        var budget = JSONSchemaBudget(steps: 1000, patternSteps: 1000)
        let schema = try schema(#"{"items":{"type":"integer"}}"#)
        let numbers = try document("[" + (0..<300).map(String.init).joined(separator: ",") + "]")
        #expect((0..<4).map { _ in schema.verdict(on: numbers, within: &budget) } == [.accepts, .accepts, .accepts, .undecided])
        #expect(budget.steps == 0)
        #expect(schema.verdict(on: numbers, within: &budget) == .undecided)
    }

    @Test func `bytes that one item passes over count, where nothing is tried`() throws {
        // One item takes all that is left from each place where the match may begin: few items, a square of bytes.
        let text = String(repeating: "a", count: 16 * 1024)
        let pattern = try Pattern(#"[^y]*+\d"#)
        #expect(pattern.search(text) == .undecided)
        var steps = 1_000_000
        #expect(pattern.search(text, within: &steps) == .undecided)
        #expect(steps == 900_000 - 8 - text.utf8.count / 64, "a search takes no more than its own bound")
        #expect(try Pattern("^[^y]*+$").search(text) == .matches)
    }

    @Test func `an item that must come often costs what it may look at`() throws {
        // It fails at the end of each run of letters, having looked at most of it.
        let text = String(repeating: String(repeating: "a", count: 1999) + "b", count: 8)
        #expect(try Pattern(#"a{2000}\d"#).search(text) == .undecided)
        #expect(try Pattern(#"^[0-9a-f]{64}$"#).search(String(repeating: "a0", count: 32)) == .matches)
        #expect(try Pattern("^{a$").search("{a") == .matches)
    }

    @Test func `checks that something is a schema are charged by bytes`() throws {
        let meta = try schema(#"{"items":{"$ref":"https://json-schema.org/draft/2020-12/schema"}}"#)
        func list(_ one: String, _ count: Int) throws -> JSONNode {
            try document("[" + Array(repeating: one, count: count).joined(separator: ",") + "]")
        }
        let small = #"{"type":"object","properties":{"a":{"type":"string"}}}"#
        #expect(meta.verdict(on: try list(small, 100)) == .accepts)
        #expect(meta.verdict(on: try list(small, 4000)) == .undecided)
        // By what its patterns come to as well, and by failures.
        #expect(meta.verdict(on: try list(#"{"pattern":"(?:abcdefgh){0,600}"}"#, 500)) == .undecided)
        #expect(meta.verdict(on: try list(#"{"type":"nothing"}"#, 3)) == .rejects)
        #expect(meta.verdict(on: try list(#"{"type":"nothing"}"#, 100)) == .undecided)
    }

    @Test func `what a compiled schema takes is known, patterns by what they come to`() throws {
        let small = try schema(#"{"pattern":"^a$"}"#).compiledBytes
        let large = try schema(#"{"pattern":"(?:abcdefgh){0,600}"}"#).compiledBytes
        #expect(small < 2048 && large > small + 30_000)
    }
}
