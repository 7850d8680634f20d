import NIOCore

/// The commands on the wire, in the order in which their replies come. Used on the event loop alone.
struct Wire {
    private struct Sent {
        var slot: Slot
        let at: NIODeadline
    }

    private var sent = CircularBuffer<Sent>(initialCapacity: 512)
    /// Of `sent`, so many from the front were given up by timeout.
    private var overdue = 0
    private var partial: [RedisValue] = []

    mutating func append(_ slots: [Slot], at now: NIODeadline) {
        for slot in slots { sent.append(Sent(slot: slot, at: now)) }
    }

    /// Adds the callers whose replies are complete now; returns how many replies no command asked for.
    mutating func received(_ replies: [RedisValue], completed: inout [(Waiter, Waiter.Outcome)]) -> Int {
        for (index, value) in replies.enumerated() {
            guard !sent.isEmpty else { return replies.count - index }
            receive(value, &completed)
        }
        return 0
    }

    private mutating func receive(_ value: RedisValue, _ completed: inout [(Waiter, Waiter.Outcome)]) {
        let front = sent.startIndex
        if sent[front].slot.isPipeline, sent[front].slot.waiter != nil { partial.append(value) }
        guard sent[front].slot.replies == 1 else {
            sent[front].slot.replies -= 1
            return
        }
        let slot = sent.removeFirst().slot
        overdue = max(0, overdue - 1)
        guard let waiter = slot.waiter else { return }
        if slot.isPipeline {
            completed.append((waiter, .success(.many(partial))))
            partial = []
        } else if case .error(let message) = value {
            completed.append((waiter, .failure(RedisError(code: .server, message: message))))
        } else {
            completed.append((waiter, .success(.one(value))))
        }
    }

    /// Callers that waited since `limit` or longer. Their slots stay: the replies may still come.
    mutating func expire(sentBefore limit: NIODeadline) -> [Waiter] {
        var expired: [Waiter] = []
        while overdue < sent.count {
            let index = sent.index(sent.startIndex, offsetBy: overdue)
            guard sent[index].at <= limit else { break }
            if let waiter = sent[index].slot.waiter { expired.append(waiter) }
            sent[index].slot.waiter = nil
            if overdue == 0 { partial = [] }
            overdue += 1
        }
        return expired
    }

    var oldest: NIODeadline? { sent.first?.at }
    /// Of the oldest that is not given up.
    var oldestWaiting: NIODeadline? {
        overdue < sent.count ? sent[sent.index(sent.startIndex, offsetBy: overdue)].at : nil
    }

    /// Empties the wire after a loss.
    mutating func takeAll() -> [Slot] {
        defer {
            sent.removeAll(keepingCapacity: true)
            partial = []
            overdue = 0
        }
        return sent.map(\.slot)
    }
}
