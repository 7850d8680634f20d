/// Pauses between reconnects: doubling from `minimum` to `maximum`, the latter half of each random so that replicas do not come in step.
struct Backoff {
    let minimumMilliseconds: Int
    let maximumMilliseconds: Int
    private var doublings = 0

    init(minimumMilliseconds: Int, maximumMilliseconds: Int) {
        self.minimumMilliseconds = max(1, minimumMilliseconds)
        self.maximumMilliseconds = max(self.minimumMilliseconds, maximumMilliseconds)
    }

    mutating func reset() { doublings = 0 }

    mutating func nextMilliseconds() -> Int {
        let pause = min(maximumMilliseconds, minimumMilliseconds << min(doublings, 20))
        doublings += 1
        return pause - Int.random(in: 0...(pause / 2))
    }
}
