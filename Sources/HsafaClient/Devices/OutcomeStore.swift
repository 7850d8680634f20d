import JSON

/// What finished calls came to, so that a repeated call is answered and not carried out again.
///
/// Bounded by count and bytes, oldest out first. With a path it outlives the process: one line of JSON per outcome, appended and
/// synced before the outcome is sent.
public actor OutcomeStore {
    public struct Failure: Error, Sendable, CustomStringConvertible {
        public let description: String
    }

    private struct Entry {
        var outcome: ToolOutcome
        var bytes: Int
        var isAcknowledged: Bool
        var sends = 0
        var lastSent: ContinuousClock.Instant?
    }

    private let path: String?
    private let capacity: Int
    private let maxBytes: Int
    private var entries: [String: Entry] = [:]
    /// In order of arrival; `order[head...]` are alive.
    private var order: [String] = []
    private var head = 0
    private var totalBytes = 0
    private var linesInFile = 0

    public init(path: String? = nil, capacity: Int = 1000, maxBytes: Int = 64 << 20) throws(Failure) {
        self.path = path
        self.capacity = max(1, capacity)
        self.maxBytes = maxBytes
        guard let path else { return }
        let stored: [UInt8]
        do { stored = try PrivateFile.readIfPresent(path, maxBytes: 4 * maxBytes) ?? [] } catch {
            throw Failure(description: "The device's outcomes cannot be read: \(error)")
        }
        var loaded: [(String, ToolOutcome, Int)] = []
        for line in stored.split(separator: UInt8(ascii: "\n")) {
            // A line that a crash cut short is no outcome: it was never sent.
            if let (callId, outcome) = Self.decode(Array(line)) { loaded.append((callId, outcome, line.count)) }
        }
        for (callId, outcome, bytes) in loaded.suffix(self.capacity) where entries[callId] == nil {
            // Whether it was acknowledged is not stored; the gateway asks again for what it lacks.
            entries[callId] = Entry(outcome: outcome, bytes: bytes, isAcknowledged: true)
            order.append(callId)
            totalBytes += bytes
        }
        // Cuts what is beyond the bounds, and a torn last line, before anything is appended behind it.
        linesInFile = stored.isEmpty ? 0 : Int.max
    }

    func outcome(of callId: String) -> ToolOutcome? { entries[callId]?.outcome }

    /// The first outcome of a call stands.
    func record(_ callId: String, _ outcome: ToolOutcome) throws(Failure) -> ToolOutcome {
        if let known = entries[callId] { return known.outcome }
        let line = Self.encode(callId, outcome)
        entries[callId] = Entry(outcome: outcome, bytes: line.count, isAcknowledged: false)
        order.append(callId)
        totalBytes += line.count
        evict()
        try persist(line)
        return outcome
    }

    func acknowledge(_ callId: String) { entries[callId]?.isAcknowledged = true }

    func markSent(_ callId: String) {
        entries[callId]?.sends += 1
        entries[callId]?.lastSent = .now
    }

    /// Not acknowledged, last sent longer ago than `age`, oldest first; one that was sent `maxSends` times is given up:
    /// the gateway asks again for what it lacks.
    func unacknowledged(olderThan age: Duration, maxSends: Int, limit: Int) -> [(callId: String, outcome: ToolOutcome)] {
        let now = ContinuousClock.now
        var result: [(String, ToolOutcome)] = []
        for callId in order[head...] where result.count < limit {
            guard let entry = entries[callId], !entry.isAcknowledged, entry.sends < maxSends else { continue }
            if let sent = entry.lastSent, now - sent < age { continue }
            result.append((callId, entry.outcome))
        }
        return result
    }

    private func evict() {
        while head < order.count - 1, order.count - head > capacity || totalBytes > maxBytes {
            if let gone = entries.removeValue(forKey: order[head]) { totalBytes -= gone.bytes }
            head += 1
        }
        if head > capacity {
            order.removeFirst(head)
            head = 0
        }
    }

    private func persist(_ line: [UInt8]) throws(Failure) {
        guard let path else { return }
        do {
            if linesInFile >= 2 * capacity {
                let alive = order[head...]
                try PrivateFile.replace(
                    path, with: alive.flatMap { id in entries[id].map { Self.encode(id, $0.outcome) } ?? [] }, mode: 0o600)
                linesInFile = alive.count
            } else {
                try PrivateFile.append(path, line, mode: 0o600)
                linesInFile += 1
            }
        } catch {
            throw Failure(description: "The outcome cannot be stored: \(error)")
        }
    }

    private static func encode(_ callId: String, _ outcome: ToolOutcome) -> [UInt8] {
        let json = RawJSON.object { writer in
            writer.field("callId", string: callId)
            outcome.write(into: &writer)
        }
        // Valid JSON has raw line breaks only between its tokens, so the line stays the same value.
        return json.bytes.map { $0 == UInt8(ascii: "\n") ? UInt8(ascii: " ") : $0 } + [UInt8(ascii: "\n")]
    }

    private static func decode(_ line: [UInt8]) -> (String, ToolOutcome)? {
        guard let root = (try? JSONDocument(parsing: line))?.root, let callId = root["callId"]?.string else { return nil }
        if let result = root["result"] { return (callId, .result(result.rawJSON)) }
        guard let error = root["error"], let code = error["code"]?.string, let message = error["message"]?.string else { return nil }
        return (callId, .error(code: code, message: message))
    }
}
