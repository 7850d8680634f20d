import Domain
import Foundation
import JSON
import JSONSchema
import TestServers
import TestSupport
import Testing

@testable import Runtime

/// The folder as files: YAML with its lines, the schema for editors, and the set that is shipped.
struct PolicyFolderTests {
    private func withFolder<R>(_ files: [String: String], _ body: (String) throws -> R) throws -> R {
        try body(try temporaryFolder(files))
    }

    private func faults(_ files: [String: String]) throws -> [PolicyFault] {
        try withFolder(files) { folder in
            do throws(PolicyFolder.Failure) {
                _ = try PolicyFolder(folder)
                return []
            } catch { return error.faults }
        }
    }

    @Test(arguments: [
        ("version: 1\nrules:\n  - id: a\n    effect: maybe\n", 4, "allow, deny or require_approval"),
        ("version: 1\nrules:\n  - id: a\n    effect: allow\n\n    tols: [x]\n", 6, "known fields"),
        ("version: 1\nrules:\n  - id: a\n    effect: allow\n    tools: [x]\n    tools: [y]\n", 6, "given twice"),
        ("version: 1\nrules:\n  - id: a\n  effect: allow\n", 4, "not valid YAML"),
        ("rules: []\n", 1, "version: 1"),
        // Its entries became comments: left out it would mean every tool.
        ("version: 1\nrules:\n  - id: a\n    effect: allow\n    tools:\n    #  - fs.read\n", 5, "has no value"),
        ("version: 1\nrules:\n  - effect: allow\n", 3, "required"),
        (
            "version: 1\nrules:\n  - id: a\n    effect: allow\n    when:\n      properties:\n        p:\n          pattern: '('\n", 8,
            "pattern"
        ),
        ("version: 1\nrules:\n  - id: a\n    effect: allow\n    limits:\n      perRun: many\n", 6, "integer"),
        ("version: 1\negress:\n  allow:\n    - hosts:\n        - good.example\n        - 'bad host'\n", 6, "must be a name"),
        ("- version\n", 1, "object"), ("version: 1\n? [a]\n: b\n", 2, "no text"), ("version: 1\n---\nversion: 1\n", 2, "YAML"),
        ("version: 1\nrules: *nothing\n", 2, "YAML"),
    ])
    func `an invalid file is named with the line and what would be right`(text: String, line: Int, message: String) throws {
        let fault = try #require(try faults(["a.yaml": text]).first)
        #expect(fault.file == "a.yaml" && fault.line == line && fault.message.contains(message), "\(fault)")
        #expect("\(fault)".hasPrefix("a.yaml:\(line): "))
    }

    @Test func `every invalid file is told of at once, and an id that two files use names the other`() throws {
        let good = "version: 1\nrules:\n  - id: a\n    effect: allow\n"
        let faults = try faults(["a.yaml": good, "b.yaml": good, "c.yaml": "version: 3\n", "d.yml": "]"])
        #expect(faults.compactMap(\.file) == ["b.yaml", "c.yaml", "d.yml"])
        #expect(faults.first?.line == 3 && faults.first?.message.contains("a.yaml") == true)
    }

    @Test(.timeLimit(.minutes(10))) func `aliases that would fill memory are refused`() throws {
        var text = "version: 1\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1...12 {
            text += "a\(level): &a\(level) [" + Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ") + "]\n"
        }
        #expect(try faults(["a.yaml": text]).first?.message.contains("aliases") == true)
    }

    @Test func `aliases, comments and the texts of YAML 1.2 are read`() throws {
        let text = """
            # a comment
            version: 1
            rules:
              - id: a
                tools: &reading ["fs.read*", on, 'no', 1.5.0]
                effect: allow
              - id: b
                targets: [device]
                tools: *reading
                effect: require_approval
            """
        try withFolder(["a.yaml": text, "empty.yaml": "# nothing yet\n", "a.test.yaml": "not read here", ".hidden.yaml": "]", "x.txt": "]"])
        {
            let folder = try PolicyFolder($0)
            #expect(folder.files.map(\.name) == ["a.yaml", "empty.yaml"])
            #expect(folder.set.rules.count == 2)
            #expect(folder.set.rules[1].tools?.map(\.pattern) == ["fs.read*", "on", "no", "1.5.0"])
        }
    }

    @Test func `hosts of several files add up, and a default of deny in one of them holds`() throws {
        let egress = try withFolder([
            "a.yaml": "version: 1\negress:\n  default: public\n  allow: [{ hosts: [a.example] }]\n",
            "b.yaml": "version: 1\negress:\n  default: deny\n  allow: [{ tenants: [acme], hosts: [10.0.0.0/8] }]\n",
            "c.yaml": "version: 1\n",
        ]) { try PolicyFolder($0).set.egress }
        #expect(egress?.byDefault == .deny && egress?.allowances.count == 2)
        #expect(try withFolder(["a.yaml": "version: 1\n"]) { try PolicyFolder($0).set.egress } == nil)
    }

    // MARK: What is shipped

    @Test func `the shipped policies are right, fit their schema, and pass their tests`() throws {
        let directory = TestEnvironment.repository + "/policies"
        let report = try PolicyFolder.runTests(directory)
        #expect(report.cases.count >= 10)
        #expect(report.failures.isEmpty, "\(report.failures)")
        for file in try PolicyFolder(directory).files {
            let text = String(decoding: try Data(contentsOf: URL(filePath: "\(directory)/\(file.name)")), as: UTF8.self)
            let yaml = try #require(try PolicyYAML(text, name: file.name))
            #expect(try PolicySchemaTests.schema().violations(of: yaml.document.root).isEmpty)
        }
        // Each rule that is shipped is named by a test.
        let tested = String(decoding: try Data(contentsOf: URL(filePath: directory + "/default.test.yaml")), as: UTF8.self)
        for rule in try PolicyFolder(directory).set.rules { #expect(tested.contains(rule.id), "\(rule.id) has no test") }
    }

    @Test func `a test of the folder that fails, or is no test, is told with its line`() throws {
        let policy = "version: 1\nrules:\n  - id: a\n    effect: allow\n"
        let tests = """
            version: 1
            tests:
              - name: fails
                given: { target: server, tool: x }
                expect: { decision: deny }
            """
        let report = try withFolder(["a.yaml": policy, "a.test.yaml": tests]) { try PolicyFolder.runTests($0) }
        #expect(report.failures.map(\.line) == [3] && report.failures.first?.file == "a.test.yaml")
        #expect(throws: PolicyFolder.Failure.self) {
            try withFolder(["a.yaml": policy, "a.test.yaml": tests + "\n    expcet: {}\n"]) { try PolicyFolder.runTests($0) }
        }
    }
}
