import Domain
import Testing

@testable import Runtime

struct FailureLimiterTests {
    private let start = ContinuousClock.now
    private func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

    /// A wrong key: looked at, unless it has to wait.
    private func guess(_ limiter: FailureLimiter, _ address: IPAddress, at now: ContinuousClock.Instant) -> Int? {
        if let seconds = limiter.wait(address, at: now) { return seconds }
        limiter.failed(address, at: now)
        return nil
    }

    @Test func `an address has its failures, and gets more with time`() throws {
        let limiter = FailureLimiter(most: 3, perSecond: 0.5, maxAddresses: 10)
        let one = try address("203.0.113.1")
        for _ in 0..<3 { #expect(guess(limiter, one, at: start) == nil) }
        #expect(guess(limiter, one, at: start) == 2)
        #expect(guess(limiter, one, at: start + .seconds(1)) == 1)
        #expect(guess(limiter, try address("203.0.113.2"), at: start) == nil)
        #expect(guess(limiter, one, at: start + .seconds(2)) == nil)
        #expect(guess(limiter, one, at: start + .seconds(2)) != nil)
        // Never more than at first, however long it waits.
        for _ in 0..<3 { #expect(guess(limiter, one, at: start + .seconds(10_000)) == nil) }
        #expect(guess(limiter, one, at: start + .seconds(10_000)) != nil)
    }

    @Test func `right keys take nothing, however many come at once, and guesses side by side are paid for`() throws {
        let limiter = FailureLimiter(most: 4, perSecond: 1, maxAddresses: 10)
        let one = try address("203.0.113.1")
        for _ in 0..<500 { #expect(limiter.wait(one, at: start) == nil) }
        // All were let through before the first was found wrong.
        for _ in 0..<100 { limiter.failed(one, at: start) }
        #expect(limiter.wait(one, at: start) == 5)
        #expect(limiter.wait(one, at: start + .seconds(4)) == 1)
        #expect(limiter.wait(one, at: start + .seconds(5)) == nil)
    }

    @Test func `addresses of one IPv6 customer are one, and a flood of addresses is bounded`() throws {
        let limiter = FailureLimiter(most: 2, perSecond: 0.1, maxAddresses: 8)
        #expect(guess(limiter, try address("2001:db8::1"), at: start) == nil)
        #expect(guess(limiter, try address("2001:db8::2"), at: start) == nil)
        #expect(guess(limiter, try address("2001:db8::3"), at: start) != nil)
        var refused = 0
        for index in 0..<500 {
            let flood = try address("2001:db8:\(String(index + 1, radix: 16))::1")
            if guess(limiter, flood, at: start) != nil { refused += 1 }
        }
        #expect(limiter.countedAddresses == 8)
        // Those beyond share one count, which is larger than one address' and is used up.
        #expect(refused > 400 && refused < 500)
        // Once they are quiet their places are free again.
        #expect(guess(limiter, try address("198.51.100.1"), at: start + .seconds(100)) == nil)
        #expect(limiter.countedAddresses == 1)
    }
}
