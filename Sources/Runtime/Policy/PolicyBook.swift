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
    /// Of the folder as it was last read, well or not: an invalid folder is told of once, not at every look.
    private let lastSeen: Mutex<Fingerprint>

    /// What a look at the folder costs while nothing changes: a stat a file.
    private struct Fingerprint: Equatable {
        struct File: Equatable {
            let name: String
            let bytes: Int
            let inode: Int
            let modified: Date
        }
        var files: [File] = []
    }

    /// Refuses to start on an invalid file, naming file, line and what is wrong.
    public init(directory: String, logger: Logger) throws {
        self.directory = directory
        self.logger = logger
        lastSeen = Mutex(Self.fingerprint(directory))
        policies = Mutex(try Self.load(directory))
    }

    public var current: PolicySet { policies.withLock { $0 } }

    /// Reads the folder again if it changed; an invalid folder leaves the old set in force and says so.
    public func reload() {
        let now = Self.fingerprint(directory)
        let hasChanged = lastSeen.withLock { last -> Bool in
            defer { last = now }
            return last != now
        }
        guard hasChanged else { return }
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

    private static func fingerprint(_ directory: String) -> Fingerprint {
        let names = (try? names(in: directory)) ?? []
        return Fingerprint(
            files: names.map { name in
                let attributes = try? FileManager.default.attributesOfItem(atPath: directory + "/" + name)
                return Fingerprint.File(
                    name: name, bytes: attributes?[.size] as? Int ?? -1, inode: attributes?[.systemFileNumber] as? Int ?? -1,
                    modified: attributes?[.modificationDate] as? Date ?? .distantPast)
            })
    }

    private static func names(in directory: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory)
            .filter { ($0.hasSuffix(".yaml") || $0.hasSuffix(".yml")) && !$0.contains(".test.") }.sorted()
    }

    static func load(_ directory: String) throws -> PolicySet {
        let files: [String]
        do { files = try names(in: directory) } catch {
            throw Failure(description: "the policies folder \(directory) cannot be read; set POLICIES_DIR to it")
        }
        guard files.count <= Limits.maxPolicyFiles else {
            throw Failure(description: "\(directory) holds \(files.count) policy files; \(Limits.maxPolicyFiles) are allowed")
        }
        var rules: [PolicyRule] = []
        var digest: [UInt8] = []
        for name in files {
            let bytes = try read(URL(filePath: directory).appending(path: name), name)
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

    private static func read(_ file: URL, _ name: String) throws -> [UInt8] {
        // Its size first: what is in the folder by mistake may be larger than memory.
        let size = try? FileManager.default.attributesOfItem(atPath: file.path)[.size] as? Int
        guard let size else { throw Failure(description: "\(name) cannot be read; let the gateway's user read it") }
        guard size <= Limits.maxPolicyFileBytes else {
            throw Failure(description: "\(name) is larger than \(Limits.maxPolicyFileBytes) bytes")
        }
        do { return [UInt8](try Data(contentsOf: file)) } catch {
            throw Failure(description: "\(name) cannot be read; let the gateway's user read it")
        }
    }
}
