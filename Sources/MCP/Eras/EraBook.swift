import Synchronization

/// Which era a server was found to be of. Shared by all sessions of a process; bounded, and everything in it lapses.
final class EraBook: Sendable {
    struct Key: Hashable {
        let partition: String
        let url: String
    }

    private struct Entry {
        let era: MCPEra
        let until: ContinuousClock.Instant
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        /// Order of arrival; the oldest makes room.
        var order: [Key] = []
    }

    private let state = Mutex(State())
    private let capacity: Int
    private let lifetime: Duration

    init(_ limits: MCPLimits) {
        capacity = max(1, limits.maxKnownEras)
        lifetime = .seconds(limits.eraSeconds)
    }

    func era(_ key: Key) -> MCPEra? {
        state.withLock { state in
            guard let entry = state.entries[key], entry.until > .now else { return nil }
            return entry.era
        }
    }

    func remember(_ era: MCPEra, _ key: Key) {
        let entry = Entry(era: era, until: .now.advanced(by: lifetime))
        state.withLock { state in
            if state.entries.updateValue(entry, forKey: key) == nil { state.order.append(key) }
            if state.order.count > capacity { state.entries[state.order.removeFirst()] = nil }
        }
    }

    func forget(_ key: Key) {
        state.withLock { state in
            guard state.entries.removeValue(forKey: key) != nil else { return }
            state.order.removeAll { $0 == key }
        }
    }

    var count: Int { state.withLock { $0.entries.count } }
}
