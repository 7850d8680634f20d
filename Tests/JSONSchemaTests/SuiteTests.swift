import Foundation
import JSON
import JSONSchema
import Testing

/// The official test suite of draft 2020-12, read from beside this repository where it is there.
enum Suite {
    static let folder: String = {
        var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        parts.removeLast(4)
        return parts.joined(separator: "/") + "/shared/fixtures/json-schema"
    }()

    static var exists: Bool { FileManager.default.fileExists(atPath: folder) }
}

@Suite(.enabled(if: Suite.exists, "the JSON Schema test suite is not beside this repository"))
struct SuiteTests {
    @Test func `every case of the suite is decided as it says`() throws {
        var cases = 0
        for name in try FileManager.default.contentsOfDirectory(atPath: Suite.folder).sorted() where name.hasSuffix(".json") {
            let file = try Data(contentsOf: URL(filePath: Suite.folder).appending(path: name))
            for group in try JSONDocument(parsing: [UInt8](file)).root.elements {
                let title = "\(name): \(group["description"]?.string ?? "")"
                let schema: JSONSchema
                do { schema = try JSONSchema(try #require(group["schema"])) } catch {
                    Issue.record("\(title): \(error)")
                    continue
                }
                for test in try #require(group["tests"]).elements {
                    let violations = schema.violations(of: try #require(test["data"]))
                    #expect(violations.isEmpty == test["valid"]?.bool, "\(title): \(test["description"]?.string ?? ""): \(violations)")
                    cases += 1
                }
            }
        }
        #expect(cases > 500)
    }
}
