import Domain
import Storage
import Synchronization

/// The runs that this process works on, for those who have something to tell their workers.
final class ActiveRuns: Sendable {
    private let writers = Mutex<[RunID: RunWriter]>([:])

    func insert(_ writer: RunWriter, for run: RunID) { writers.withLock { $0[run] = writer } }

    func remove(_ run: RunID, _ writer: RunWriter) {
        writers.withLock { writers in if writers[run] === writer { writers[run] = nil } }
    }

    var count: Int { writers.withLock { $0.count } }

    var all: [RunWriter] { writers.withLock { Array($0.values) } }

    /// Someone wrote to the run's log: its worker reads it. False when the run is not worked on here.
    @discardableResult
    func wake(_ run: RunID) -> Bool {
        guard let writer = writers.withLock({ $0[run] }) else { return false }
        writer.logMovedOn()
        return true
    }

    func writer(of run: RunID) -> RunWriter? { writers.withLock { $0[run] } }
}
