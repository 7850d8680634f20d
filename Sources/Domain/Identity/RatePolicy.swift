/// A rate with a burst, as the generic cell rate algorithm (ITU-T I.371) counts it: a theoretical arrival time moves on by
/// `intervalMicroseconds` with each unit and may run ahead of the clock by `burst` of them.
public struct RatePolicy: Sendable, Hashable {
    public let name: LimitName
    public let intervalMicroseconds: Double
    /// Units that may be used at once after a pause; at least 1.
    public let burst: Int

    public init(_ name: LimitName, perPeriod count: Int, periodSeconds: Int, burst: Int) {
        self.name = name
        intervalMicroseconds = Double(periodSeconds) * 1_000_000 / Double(max(1, count))
        self.burst = max(1, burst)
    }

    public var capacityMicroseconds: Double { intervalMicroseconds * Double(burst) }

    /// In which an empty allowance is full again; at least 1.
    public var windowSeconds: Int { max(1, Int((capacityMicroseconds / 1_000_000).rounded(.up))) }

    /// `"requests";q=2000;w=2`: `burst` units in the time in which they grow back (draft-ietf-httpapi-ratelimit-headers).
    public var header: String { "\"\(name.rawValue)\";q=\(burst);w=\(windowSeconds)" }

    /// Takes one unit at `now`, both in microseconds of one clock. `arrival` is the theoretical arrival time, changed only when the
    /// unit is granted. nil when it is; otherwise how long to wait for it.
    public func take(_ arrival: inout Double, at now: Double) -> Double? {
        let start = min(max(arrival, now), now + capacityMicroseconds)
        let next = start + intervalMicroseconds
        let wait = next - now - capacityMicroseconds
        // Half a microsecond is rounding.
        guard wait <= 0.5 else { return wait }
        arrival = next
        return nil
    }

    public func standing(_ arrival: Double, at now: Double) -> RateStanding {
        let ahead = min(max(0, arrival - now), capacityMicroseconds)
        return RateStanding(
            remaining: Int((capacityMicroseconds - ahead) / intervalMicroseconds + 0.000_001),
            resetMicroseconds: Int64(ahead.rounded(.up)))
    }
}

/// What is left of a rate.
public struct RateStanding: Sendable, Hashable {
    public let remaining: Int
    /// Until all of it is there again.
    public let resetMicroseconds: Int64

    public init(remaining: Int, resetMicroseconds: Int64) {
        self.remaining = remaining
        self.resetMicroseconds = resetMicroseconds
    }

    /// Rounded up, as for RateLimit's `t`.
    public var resetSeconds: Int { Int((resetMicroseconds + 999_999) / 1_000_000) }
}
