import Cryptography
public import Domain
import FoundationEssentials
import JSON

/// The operator's folder as it was read: `*.yaml`, and beside them `*.test.yaml`.
public struct PolicyFolder: Sendable {
    public struct File: Sendable, Hashable {
        public let name: String
        /// `sha256:…` over its bytes.
        public let hash: String
        public let rules: Int
    }

    /// Everything that is wrong, file by file.
    public struct Failure: Error, Sendable, Hashable, CustomStringConvertible {
        public let faults: [PolicyFault]
        public var description: String { faults.map(\.description).joined(separator: "\n") }
    }

    public let set: PolicySet
    public let files: [File]

    /// Read whole or not at all.
    public init(_ directory: String) throws(Failure) {
        let names: [String]
        do { names = try Self.names(in: directory, tests: false) } catch { throw Failure(faults: [error]) }
        guard names.count <= Limits.maxPolicyFiles else {
            throw Failure(
                faults: [PolicyFault(message: "\(directory) holds \(names.count) policy files; \(Limits.maxPolicyFiles) are allowed")])
        }
        var files: [File] = []
        var rules: [PolicyRule] = []
        var egress: [(rules: EgressRules, file: String)] = []
        var digest: [UInt8] = []
        var faults: [PolicyFault] = []
        var fileOf: [String: String] = [:]
        for name in names {
            do throws(PolicyFault) {
                let bytes = try Self.read(directory, name)
                let yaml = try PolicyYAML(String(decoding: bytes, as: UTF8.self), name: name)
                let document = try yaml.map { yaml throws(PolicyFault) in try Self.document(yaml) }
                for (index, rule) in (document?.rules ?? []).enumerated() {
                    if let other = fileOf.updateValue(name, forKey: rule.id) {
                        throw PolicyFault(
                            file: name, line: yaml?.line("/rules/\(index)/id"),
                            message: "rule id \(rule.id) stands in \(other) already; ids are unique over all files")
                    }
                }
                let hash = SHA256.hash(bytes)
                digest += hash
                files.append(File(name: name, hash: "sha256:" + Hex.encode(hash), rules: document?.rules.count ?? 0))
                rules += document?.rules ?? []
                if let own = document?.egress { egress.append((own, name)) }
            } catch {
                if faults.count < Limits.maxPolicyErrors { faults.append(error) }
            }
        }
        guard faults.isEmpty else { throw Failure(faults: faults) }
        guard rules.count <= Limits.maxPolicyRules else {
            throw Failure(
                faults: [PolicyFault(message: "the policies have \(rules.count) rules; \(Limits.maxPolicyRules) are allowed")])
        }
        set = PolicySet(
            rules: rules, egress: Self.merged(egress.map(\.rules)), hash: "sha256:" + Hex.encode(SHA256.hash(digest)))
        self.files = files
    }

    static func document(_ yaml: PolicyYAML) throws(PolicyFault) -> PolicyDocument {
        try yaml.read { node throws(JSONViolation) in
            try refuseEmptyFields(node, at: "")
            return try PolicyDocument(reading: node)
        }
    }

    /// A field without a value is null in YAML, and would be read as left out: `tools:` whose entries somebody made comments would let every
    /// tool through.
    private static func refuseEmptyFields(_ node: JSONNode, at pointer: String) throws(JSONViolation) {
        for (key, value) in node.members {
            let place = "\(pointer)/\(key)"
            if value.isNull { throw JSONViolation(pointer: place, message: "has no value; give it one, or remove the line") }
            // A condition is JSON Schema, where null is a value.
            if key != "when" { try refuseEmptyFields(value, at: place) }
        }
        for (index, element) in node.elements.enumerated() { try refuseEmptyFields(element, at: "\(pointer)/\(index)") }
    }

    /// Files add to each other's lists; a default of deny in one of them holds.
    private static func merged(_ egress: [EgressRules]) -> EgressRules? {
        guard !egress.isEmpty else { return nil }
        return EgressRules(
            byDefault: egress.contains { $0.byDefault == .deny } ? .deny : .public, allowances: egress.flatMap(\.allowances))
    }

    /// In the order in which they are read.
    static func names(in directory: String, tests: Bool) throws(PolicyFault) -> [String] {
        let all: [String]
        do { all = try FileManager.default.contentsOfDirectory(atPath: directory) } catch {
            throw PolicyFault(message: "the policies folder \(directory) cannot be read; set POLICIES_DIR to it")
        }
        return all.filter { ($0.hasSuffix(".yaml") || $0.hasSuffix(".yml")) && !$0.hasPrefix(".") && $0.contains(".test.") == tests }
            .sorted()
    }

    private static func read(_ directory: String, _ name: String) throws(PolicyFault) -> [UInt8] {
        let file = URL(filePath: directory).appending(path: name)
        // Its size first: what is in the folder by mistake may be larger than memory.
        let size = try? FileManager.default.attributesOfItem(atPath: file.path)[.size] as? Int
        guard let size else { throw PolicyFault(file: name, message: "cannot be read; let the gateway's user read it") }
        guard size <= Limits.maxPolicyFileBytes else {
            throw PolicyFault(file: name, message: "is larger than \(Limits.maxPolicyFileBytes) bytes; split it")
        }
        do { return [UInt8](try Data(contentsOf: file)) } catch {
            throw PolicyFault(file: name, message: "cannot be read; let the gateway's user read it")
        }
    }

    // MARK: Tests beside the policies

    public struct TestReport: Sendable {
        public struct Case: Sendable {
            public let file: String
            public let line: Int
            public let name: String
            /// nil: it passed.
            public let failure: String?
        }

        public var cases: [Case] = []
        public var failures: [Case] { cases.filter { $0.failure != nil } }
    }

    /// Runs `*.test.yaml` of the folder against its rules.
    public static func runTests(_ directory: String) throws(Failure) -> TestReport {
        let policies = EffectivePolicies(folder: try PolicyFolder(directory).set)
        var report = TestReport()
        var faults: [PolicyFault] = []
        do throws(PolicyFault) {
            for name in try names(in: directory, tests: true) {
                do throws(PolicyFault) {
                    guard let yaml = try PolicyYAML(String(decoding: try read(directory, name), as: UTF8.self), name: name) else {
                        continue
                    }
                    let file = try yaml.read { node throws(JSONViolation) in try PolicyTestFile(reading: node) }
                    report.cases += file.cases.map { test in
                        TestReport.Case(
                            file: name, line: yaml.line(test.pointer), name: test.name, failure: test.failure(under: policies))
                    }
                } catch { faults.append(error) }
            }
        } catch { faults.append(error) }
        guard faults.isEmpty else { throw Failure(faults: Array(faults.prefix(Limits.maxPolicyErrors))) }
        return report
    }
}
