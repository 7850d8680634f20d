/// Growing delays with jitter: each is between half and all of `initial · 2ⁿ`, which stops growing at `maximum`.
public struct BackOff: Sendable {
    public var initialMilliseconds: Int
    public var maximumMilliseconds: Int
    private(set) var attempts = 0

    public init(initialMilliseconds: Int = 500, maximumMilliseconds: Int = 15_000) {
        self.initialMilliseconds = max(1, initialMilliseconds)
        self.maximumMilliseconds = max(self.initialMilliseconds, maximumMilliseconds)
    }

    mutating func next() -> Duration {
        let full = min(maximumMilliseconds, initialMilliseconds << min(attempts, 16))
        attempts += 1
        return .milliseconds(Int.random(in: max(1, full / 2)...full))
    }

    mutating func reset() { attempts = 0 }
}
