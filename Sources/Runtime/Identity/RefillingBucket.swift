/// So many at once after a pause, and so many a second in the long run.
struct RefillingBucket {
    var left: Double
    var at: ContinuousClock.Instant

    mutating func fill(to most: Double, perSecond: Double, _ now: ContinuousClock.Instant) {
        let elapsed = (now - at).components
        left = min(most, left + (Double(elapsed.seconds) + Double(elapsed.attoseconds) * 1e-18) * perSecond)
        at = now
    }

    /// Whole seconds until there is one.
    func wait(perSecond: Double) -> Int? { left >= 1 ? nil : max(1, Int(((1 - left) / perSecond).rounded(.up))) }
}
