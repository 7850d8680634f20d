import JSON
import Testing

@Suite(.enabled(if: Fixtures.exist, "the JSON parsing test suite is not beside this repository"))
struct ConformanceTests {
    @Test func `every text of the suite that must be accepted is accepted`() throws {
        let limits = JSONLimits(rejectsDuplicateKeys: false)
        let fixtures = try Fixtures.named("y_")
        #expect(fixtures.count > 60)
        for (name, bytes) in fixtures {
            #expect(throws: Never.self, "\(name)") { try JSONDocument(parsing: bytes, limits: limits) }
        }
    }

    @Test func `every text of the suite that must be refused is refused`() throws {
        let fixtures = try Fixtures.named("n_")
        #expect(fixtures.count > 90)
        for (name, bytes) in fixtures {
            #expect(throws: JSONError.self, "\(name)") { try JSONDocument(parsing: bytes) }
            let limits = JSONLimits(maxDepth: .max, rejectsDuplicateKeys: false)
            #expect(throws: JSONError.self, "\(name) without limits") { try JSONDocument(parsing: bytes, limits: limits) }
        }
    }

    @Test func `texts that the suite leaves open are answered without a crash, and ill-formed Unicode is refused`() throws {
        for (name, bytes) in try Fixtures.named("i_") {
            let document = try? JSONDocument(parsing: bytes)
            _ = document?.root.elements.map { ($0.int, $0.double, $0.string) }
            _ = try? document?.root.canonical()
            if name.hasPrefix("i_string") || name.contains("surrogate") || name.contains("BOM") { #expect(document == nil, "\(name)") }
            if name.hasPrefix("i_number") { #expect(document != nil, "\(name)") }
        }
    }

    @Test func `the suite's repeated keys are refused unless the reader allows them`() throws {
        for (name, bytes) in try Fixtures.named("y_object_duplicated") {
            #expect(throws: JSONError.self, "\(name)") { try JSONDocument(parsing: bytes) }
        }
    }
}
