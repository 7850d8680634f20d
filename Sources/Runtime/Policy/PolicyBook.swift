import Cryptography
public import Domain
import FoundationEssentials
public import Logging
import Synchronization

/// The operator's policies: read whole, checked whole, swapped whole.
public final class PolicyBook: Sendable {
    public struct Failure: Error, CustomStringConvertible, Sendable {
        public let description: String
    }

    private let directory: String
    private let logger: Logger
    private let policies: Mutex<PolicySet>

    /// Refuses to start on an invalid file, naming file, line and what is wrong.
    public init(directory: String, logger: Logger) throws {
        self.directory = directory
        self.logger = logger
        policies = Mutex(try Self.load(directory))
    }

    public var current: PolicySet { policies.withLock { $0 } }

    /// Reads the folder again; an invalid folder leaves the old set in force and says so.
    public func reload() {
        do {
            let fresh = try Self.load(directory)
            let isNew = policies.withLock { current -> Bool in
                defer { current = fresh }
                return current.hash != fresh.hash
            }
            if isNew { logger.notice("policies loaded", metadata: ["rules": "\(fresh.rules.count)", "hash": "\(fresh.hash)"]) }
        } catch {
            logger.error("policies not loaded; the old ones stay in force", metadata: ["cause": "\(error)"])
        }
    }

    static func load(_ directory: String) throws -> PolicySet {
        let names: [String]
        do { names = try FileManager.default.contentsOfDirectory(atPath: directory) } catch {
            throw Failure(description: "the policies folder \(directory) cannot be read; set POLICIES_DIR to it")
        }
        let files = names.filter { ($0.hasSuffix(".yaml") || $0.hasSuffix(".yml")) && !$0.contains(".test.") }.sorted()
        guard files.count <= Limits.maxPolicyFiles else {
            throw Failure(description: "\(directory) holds \(files.count) policy files; \(Limits.maxPolicyFiles) are allowed")
        }
        var rules: [PolicyRule] = []
        var digest: [UInt8] = []
        for name in files {
            let bytes = [UInt8](try Data(contentsOf: URL(filePath: directory).appending(path: name)))
            guard bytes.count <= Limits.maxPolicyFileBytes else {
                throw Failure(description: "\(name) is larger than \(Limits.maxPolicyFileBytes) bytes")
            }
            digest += SHA256.hash(bytes)
            rules += try PolicyFile.read(String(decoding: bytes, as: UTF8.self), name: name)
        }
        guard rules.count <= Limits.maxPolicyRules else {
            throw Failure(description: "the policies have \(rules.count) rules; \(Limits.maxPolicyRules) are allowed")
        }
        var seen: Set<String> = []
        for rule in rules where !seen.insert(rule.id).inserted {
            throw Failure(description: "rule id \(rule.id) is used twice; ids are unique over all files")
        }
        return PolicySet(rules: rules, hash: "sha256:" + Hex.encode(SHA256.hash(digest)))
    }
}
