import Domain
import Synchronization

/// Folds of runs that this process has had to do with, so that the next decision about a run reads on from there and not from its first
/// event. What is in a log never changes (law 1), so a fold that is kept is never wrong, only short: whoever takes it reads on.
final class RunFolds: Sendable {
    private struct Key: Hashable {
        let tenantID: TenantID
        let runID: RunID
    }

    private struct Entry {
        let state: RunState
        var lastUse: UInt64
    }

    private struct Shared {
        var entries: [Key: Entry] = [:]
        var bytes = 0
        var clock: UInt64 = 0

        mutating func remove(_ key: Key) {
            if let entry = entries.removeValue(forKey: key) { bytes -= entry.state.foldedBytes }
        }
    }

    private let shared = Mutex(Shared())

    /// The fold of a beginning of the run's log; that of nothing, if none is known.
    func latest(_ scope: TenantScope, _ run: RunID) -> RunState {
        shared.withLock { shared in
            let key = Key(tenantID: scope.tenantID, runID: run)
            guard let state = shared.entries[key]?.state else { return RunState() }
            shared.clock += 1
            shared.entries[key]?.lastUse = shared.clock
            return state
        }
    }

    /// Only what is committed may be given. Runs that have ended are let go: nothing more is decided about them.
    func keep(_ state: RunState, _ scope: TenantScope, _ run: RunID) {
        shared.withLock { shared in
            let key = Key(tenantID: scope.tenantID, runID: run)
            guard state.lastSeq > shared.entries[key]?.state.lastSeq ?? 0 else { return }
            shared.remove(key)
            guard !state.status.isTerminal, state.foldedBytes <= Limits.maxKeptFoldBytes / 16 else { return }
            shared.clock += 1
            shared.entries[key] = Entry(state: state, lastUse: shared.clock)
            shared.bytes += state.foldedBytes
            while shared.entries.count > Limits.maxKeptFolds || shared.bytes > Limits.maxKeptFoldBytes,
                let oldest = shared.entries.min(by: { $0.value.lastUse < $1.value.lastUse })?.key
            {
                shared.remove(oldest)
            }
        }
    }

    /// It could not be read on from.
    func forget(_ scope: TenantScope, _ run: RunID) {
        shared.withLock { $0.remove(Key(tenantID: scope.tenantID, runID: run)) }
    }
}
