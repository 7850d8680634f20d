import Domain
import Foundation
import JSON
import JSONSchema
import TestServers
import TestSupport
import Testing

@testable import Runtime

/// `policies/schema.json`, by which editors help: it takes what the gateway takes, and refuses what the gateway refuses.
struct PolicySchemaTests {
    private func folderFaults(_ text: String) throws -> [PolicyFault] {
        let folder = try temporaryFolder(["a.yaml": text])
        do throws(PolicyFolder.Failure) {
            _ = try PolicyFolder(folder)
            return []
        } catch { return error.faults }
    }

    static func schema() throws -> JSONSchema {
        let bytes = [UInt8](try Data(contentsOf: URL(filePath: TestEnvironment.repository + "/policies/schema.json")))
        return try JSONSchema(try JSONDocument(parsing: bytes).root)
    }

    private static let rule = "version: 1\nrules:\n  - id: a\n    effect: "

    /// Files that are right, and some that are wrong, in the words of both.
    @Test(arguments: [
        ("version: 1\n", true), ("version: 1\nrules: []\n", true), (rule + "allow\n", true), (rule + "deny\n    tools: [\"*\"]\n", true),
        (rule + "require_approval\n    approval: { expiresSeconds: 60 }\n    limits: { perRun: 1, timeoutSeconds: 5 }\n", true),
        (
            rule
                + "allow\n    tenants: [acme]\n    agents: [\"r-*\"]\n    targets: [server, device]\n    devices: { labels: { zone: lab } }\n",
            true
        ),
        (rule + "allow\n    when: { required: [p], properties: { p: { type: string, pattern: \"^x\" } } }\n", true),
        (rule + "allow\n    when: true\n", true),
        (
            "version: 1\negress:\n  default: deny\n  allow: [{ tenants: [a], hosts: [\"*.example.org\", \"10.0.0.5:8443\", \"10.0.0.0/8\"] }]\n",
            true
        ),
        ("version: 1\negress: {}\n", true), ("rules: []\n", false), ("version: \"1\"\n", false), ("version: 1\nmore: 1\n", false),
        (rule + "maybe\n", false),
        (rule + "allow\n    tools: []\n", false), (rule + "allow\n    tools: [\"\"]\n", false), (rule + "allow\n    tools: x\n", false),
        (rule + "allow\n    targets: [moon]\n", false), (rule + "allow\n    extra: 1\n", false),
        (rule + "deny\n    limits: { perRun: 1 }\n", false),
        (rule + "allow\n    approval: { expiresSeconds: 60 }\n", false), (rule + "allow\n    limits: { perRun: 0 }\n", false),
        (rule + "allow\n    limits: { perRun: 1.5 }\n", false), (rule + "allow\n    limits: { perMinute: 10001 }\n", false),
        (rule + "allow\n    limits: { timeoutSeconds: 86401 }\n", false), (rule + "allow\n    limits: { maxResultBytes: 255 }\n", false),
        (rule + "allow\n    limits: { perRun: 1000001 }\n", false),
        (rule + "require_approval\n    approval: { expiresSeconds: 604801 }\n", false),
        (rule + "allow\n    devices: { labels: {} }\n", false), (rule + "allow\n    devices: {}\n", false),
        (rule + "allow\n    targets: [server]\n    devices: { labels: { a: b } }\n", false),
        (rule + "allow\n    when: { type: text }\n", false),
        (rule + "allow\n    when: []\n", false), ("version: 1\nrules:\n  - id: a b\n    effect: allow\n", false),
        ("version: 1\nrules:\n  - effect: allow\n", false), ("version: 1\nrules:\n  - id: a\n", false), ("version: 1\nrules: {}\n", false),
        ("version: 1\negress: { default: open }\n", false), ("version: 1\negress: { allow: [{ hosts: [] }] }\n", false),
        ("version: 1\negress: { allow: [{ hosts: [\"https://a.example/x\"] }] }\n", false),
        ("version: 1\negress: { allow: [{}] }\n", false),
    ])
    func `the schema says of a file what the gateway says`(text: String, isRight: Bool) throws {
        let faults = try folderFaults(text)
        #expect(faults.isEmpty == isRight, "the gateway: \(faults)")
        let yaml = try #require(try PolicyYAML(text, name: "a.yaml"))
        let violations = try Self.schema().violations(of: yaml.document.root)
        #expect(violations.isEmpty == isRight, "the schema: \(violations)")
    }

    /// A file in which every field of the format stands.
    private static let whole = """
        {"version":1,"rules":[
         {"id":"a","tenants":["acme"],"agents":["r-*"],"targets":["server","device"],"tools":["fs.*"],"devices":{"labels":{"zone":"lab"}},
          "when":{"required":["path"]},"effect":"allow",
          "limits":{"perRun":20,"perMinute":60,"timeoutSeconds":30,"maxResultBytes":262144}},
         {"id":"b","effect":"require_approval","approval":{"expiresSeconds":60}},{"id":"c","effect":"deny"}],
         "egress":{"default":"deny","allow":[{"tenants":["acme"],"hosts":["*.example.org","10.0.0.5:8443"]}]}}
        """

    /// Each value of the file in the place of each other kind, at its bounds and beyond, each field left out, and a field too many in each
    /// object: some 1,500 files, of which reader and schema think alike.
    @Test func `the schema thinks of every file that differs in one place what the gateway thinks`() throws {
        let schema = try Self.schema()
        let root = try JSONDocument(parsing: Array(Self.whole.utf8)).root
        var (right, wrong) = (0, 0)
        for mutant in Self.mutants(of: root, at: "") {
            // JSON is YAML.
            let yaml = try #require(try PolicyYAML(mutant.json.string, name: "a.yaml"))
            var said: PolicyFault?
            do throws(PolicyFault) { _ = try PolicyFolder.document(yaml) } catch { said = error }
            let violations = schema.violations(of: yaml.document.root)
            #expect(
                (said == nil) == violations.isEmpty,
                "\(mutant.place) as \(mutant.what.prefix(60)): the gateway: \(said as Any); the schema: \(violations)"
            )
            if said == nil { right += 1 } else { wrong += 1 }
        }
        #expect(right > 100 && wrong > 500, "\(right) right, \(wrong) wrong")
    }

    private struct Mutant {
        let place: String
        let what: String
        let json: RawJSON
    }

    /// But 1.0, which JSON Schema takes for an integer, and addresses of IPv6 that only look like some, which no pattern tells.
    private static let values: [String] =
        [
            "null", "true", "0", "1", "2", "-1", "1.5", "255", "256", "3600", "10000", "10001", "86400", "86401", "262144",
            "262145",
            "604800", "604801", "1000000", "1000001", "9223372036854775808", #""""#, #""x""#, #""a b""#, #""-a""#, #""allow""#, #""deny""#,
            #""require_approval""#, #""public""#, #""device""#, "[]", #"[""]"#, #"["x"]"#, #"["server"]"#, #"["device"]"#, "[1]", "[[]]",
            #"["x","x"]"#, "{}", #"{"x":"y"}"#, #"{"":"y"}"#, #"{"x":1}"#,
        ]
        + [
            "a.example", "a.example.", "*.a.example:443", "*", "*.", "*.*", "a..b", "-a.b", "a-.b", "a_b.c", "a.b:0", "a.b:65535",
            "a.b:65536",
            "a.b:01", "a.b:", "a.b/8", "a/b", "https://a.b", "u@a.b", "bücher.example", "10.0.0.256", "10.0.0", "10.0.0.5", "10.0.0.05",
            "10.0.0.5.", "10.0.0.0/32:80", "10.0.0.0/33", "10.0.0.0/", "0x7f.1", "0x", "a.0x7f", "a.5", "5a", "*.10.0.0.5", "::1", "[::1]",
            "[::1]:443", "[::1]:0", "2001:db8::/32", "2001:db8::/129", "[2001:db8::/32]:443", "[10.0.0.5]", "[a.b]", "::ffff:10.0.0.5",
            String(repeating: "a.", count: 126) + "a", String(repeating: "a.", count: 126) + "ab",
            "*." + String(repeating: "a.", count: 126) + "a",
        ].map { "\"\($0)\"" }
        + [64, 65, 128, 129, 512, 513].map { "\"\(String(repeating: "x", count: $0))\"" }
        + [32, 33].map { count in "{" + (0..<count).map { "\"l\($0)\":\"y\"" }.joined(separator: ",") + "}" }
        + [200, 201].map { count in "[" + (0..<count).map { "\"x\($0)\"" }.joined(separator: ",") + "]" }

    private static func mutants(of node: JSONNode, at place: String) -> [Mutant] {
        var found = values.map { Mutant(place: place, what: $0, json: RawJSON(trusted: Array($0.utf8))) }
        func add(_ at: String, _ what: String, _ text: String) {
            found.append(Mutant(place: at, what: what, json: RawJSON(trusted: Array(text.utf8))))
        }
        if node.kind == .object {
            let members = node.members.map { ($0.key, $0.value) }
            func object(_ texts: [String]) -> String { "{" + texts.joined(separator: ",") + "}" }
            let texts = members.map { "\"\($0.0)\":\($0.1.rawJSON.string)" }
            add(place, "a field too many", object(texts + ["\"more\":1"]))
            for (index, (key, value)) in members.enumerated() {
                let (before, after) = (texts[..<index], texts[(index + 1)...])
                add("\(place)/\(key)", "left out", object(Array(before + after)))
                // What stands in a condition is JSON Schema, where the gateway asks for more: a keyword that nobody knows is an error.
                for mutant in key == "when" ? [] : mutants(of: value, at: "\(place)/\(key)") {
                    add(mutant.place, mutant.what, object(before + ["\"\(key)\":\(mutant.json.string)"] + after))
                }
            }
        }
        if node.kind == .array {
            let texts = node.elements.map { $0.rawJSON.string }
            for (index, element) in node.elements.enumerated() {
                let (before, after) = (texts[..<index], texts[(index + 1)...])
                for mutant in mutants(of: element, at: "\(place)/\(index)") {
                    add(mutant.place, mutant.what, "[" + (before + [mutant.json.string] + after).joined(separator: ",") + "]")
                }
            }
        }
        return found
    }
}
