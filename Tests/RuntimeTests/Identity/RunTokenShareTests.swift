import Domain
import Testing

@testable import Runtime

/// What one run token may have of its tenant's rates and streams.
struct RunTokenShareTests {
    private let start = ContinuousClock.now

    @Test func `a token has its burst, then its rate, and others have theirs`() {
        let share = RunTokenShare(burst: 3, perSecond: 2)
        for _ in 0..<3 { #expect(share.take([1], at: start) == nil) }
        #expect(share.take([1], at: start) == 1)
        #expect(share.take([2], at: start) == nil)
        // What is refused takes nothing.
        for _ in 0..<50 { #expect(share.take([1], at: start) != nil) }
        #expect(share.take([1], at: start + .milliseconds(600)) == nil)
        #expect(share.take([1], at: start + .milliseconds(600)) == 1)
        for _ in 0..<3 { #expect(share.take([1], at: start + .seconds(60)) == nil) }
        #expect(share.take([1], at: start + .seconds(60)) != nil)
    }

    @Test func `many tokens do not take more memory, and do not refill the one that is spent`() {
        let share = RunTokenShare(burst: 2, perSecond: 0.001, maxTokens: 10)
        for _ in 0..<2 { #expect(share.take([0], at: start) == nil) }
        for token in 1...200 as ClosedRange<UInt8> { #expect(share.take([token], at: start) == nil) }
        #expect(share.take([0], at: start) != nil)
    }

    @Test func `a token's streams are counted, and one that ends makes room`() throws {
        let share = RunTokenShare(maxStreams: 2)
        let (token, other) = (RunTokenID.generate(), RunTokenID.generate())
        let first = try #require(share.openStream(token))
        do {
            let second = try #require(share.openStream(token))
            #expect(share.openStream(token) == nil)
            #expect(share.openStream(other) != nil)
            withExtendedLifetime(second) {}
        }
        #expect(share.openStream(token) != nil)
        withExtendedLifetime(first) {}
    }
}
