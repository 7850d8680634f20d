public import Domain
import FoundationEssentials
public import Logging
import Synchronization

/// The operator's policies: read whole, checked whole, swapped whole.
public final class PolicyBook: Sendable {
    /// What an admin is told of the folder.
    public struct Status: Sendable {
        /// Of the set in force.
        public let hash: String
        public let rules: Int
        public let files: [PolicyFolder.File]
        public let loadedAt: Timestamp
        /// Why the folder as it is now is not in force; empty: it is.
        public let faults: [PolicyFault]
        /// When the folder was last read, well or not.
        public let readAt: Timestamp
    }

    private struct State {
        var folder: PolicyFolder
        var loadedAt: Timestamp
        var readAt: Timestamp
        var faults: [PolicyFault] = []
        /// Of the folder as it was last read: an invalid folder is told of once, not at every look.
        var lastSeen: Fingerprint
    }

    private let directory: String
    private let logger: Logger
    private let state: Mutex<State>
    /// One look at a time: a slow one must not put back what a later one has read.
    private let reading = Mutex(())
    private let failures: MetricCounter?

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

    /// Refuses to start on an invalid folder, naming each file, line and what is wrong.
    public init(directory: String, metrics: MetricsRegistry? = nil, logger: Logger) throws(PolicyFolder.Failure) {
        self.directory = directory
        self.logger = logger
        let seen = Self.fingerprint(directory)
        let now = Timestamp.now()
        state = Mutex(State(folder: try PolicyFolder(directory), loadedAt: now, readAt: now, lastSeen: seen))
        failures = metrics?.counter("hsafa_policy_load_failures_total", help: "Changes of the policies folder that were invalid.")
        metrics?.gauge("hsafa_policy_folder_invalid", help: "1 while the policies folder is invalid and an older set is in force.") {
            [weak self] in self?.status.faults.isEmpty == false ? 1 : 0
        }
        metrics?.gauge("hsafa_policy_rules", help: "Rules of the operator in force.") { [weak self] in Double(self?.status.rules ?? 0) }
    }

    public var current: PolicySet { state.withLock { $0.folder.set } }

    public var status: Status {
        state.withLock { state in
            Status(
                hash: state.folder.set.hash, rules: state.folder.set.rules.count, files: state.folder.files, loadedAt: state.loadedAt,
                faults: state.faults, readAt: state.readAt)
        }
    }

    /// Reads the folder again if it changed, or `always`; an invalid folder leaves the old set in force and says so.
    public func reload(always: Bool = false) {
        reading.withLock { _ in
            let seen = Self.fingerprint(directory)
            guard always || state.withLock({ $0.lastSeen != seen }) else { return }
            let now = Timestamp.now()
            do throws(PolicyFolder.Failure) {
                let fresh = try PolicyFolder(directory)
                let isNew = state.withLock { state -> Bool in
                    let isNew = state.folder.set.hash != fresh.set.hash || !state.faults.isEmpty
                    state.lastSeen = seen
                    state.folder = fresh
                    state.faults = []
                    (state.loadedAt, state.readAt) = (now, now)
                    return isNew
                }
                if isNew {
                    logger.notice("policies loaded", metadata: ["rules": "\(fresh.set.rules.count)", "hash": "\(fresh.set.hash)"])
                }
            } catch {
                state.withLock { state in
                    state.lastSeen = seen
                    state.faults = error.faults
                    state.readAt = now
                }
                failures?.add()
                logger.error("policies not loaded; the old ones stay in force", metadata: ["cause": "\(error)"])
            }
        }
    }

    private static func fingerprint(_ directory: String) -> Fingerprint {
        let names = (try? PolicyFolder.names(in: directory, tests: false)) ?? []
        return Fingerprint(
            files: names.map { name in
                let attributes = try? FileManager.default.attributesOfItem(atPath: directory + "/" + name)
                return Fingerprint.File(
                    name: name, bytes: attributes?[.size] as? Int ?? -1, inode: attributes?[.systemFileNumber] as? Int ?? -1,
                    modified: attributes?[.modificationDate] as? Date ?? .distantPast)
            })
    }
}
