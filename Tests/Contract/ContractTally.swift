import Glibc
import Synchronization

/// What was held to the description in this process; told when it ends.
final class ContractTally: Sendable {
    struct Counts: Sendable {
        var responses = 0
        var requests = 0
        var events = 0
        var frames = 0
        var leftOut = 0
        var seen: Set<String> = []
        var operations: Set<String> = []
        var eventTypes: Set<String> = []
        var frameTypes: Set<String> = []
    }

    private let counts = Mutex(Counts())

    func count(_ change: (inout Counts) -> Void) { counts.withLock { change(&$0) } }
    var current: Counts { counts.withLock { $0 } }

    /// Once a process; its tests have no common end of their own.
    static let telling: Void = {
        _ = atexit {
            guard case .success(let contract) = Contract.loaded else { return }
            let counts = contract.tally.current
            guard counts.responses + counts.events + counts.frames > 0 else { return }
            let documented = contract.document.operations.reduce(0) { $0 + $1.statuses.count }
            print(
                "Contract: \(counts.responses) responses (\(counts.operations.count) of \(contract.document.operations.count) operations, "
                    + "\(counts.seen.count) of \(documented) of their statuses), \(counts.requests) accepted requests, "
                    + "\(counts.events) events (\(counts.eventTypes.count) types), \(counts.frames) frames (\(counts.frameTypes.count) types) "
                    + "were held to openapi.yaml; \(counts.leftOut) messages broke it on purpose")
        }
    }()
}
