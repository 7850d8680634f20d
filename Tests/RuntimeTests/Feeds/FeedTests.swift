import NIOCore
import Testing

@testable import Domain
@testable import Runtime
@testable import Storage

/// What a feed keeps, and what its watchers get of it.
struct FeedTests {
    private static func frame(_ seq: Int64, bytes: Int = 16, isTerminal: Bool = false) -> RunFrame {
        RunFrame(seq: seq, isTerminal: isTerminal, envelope: ByteBuffer(repeating: UInt8(ascii: "x"), count: bytes))
    }

    private static func ring(_ frames: some Sequence<RunFrame>, base: Int64 = 0) -> FeedRing {
        var ring = FeedRing(base: base)
        for frame in frames { #expect(ring.add(FeedFrame(frame)) == .added) }
        return ring
    }

    /// The ids of a piece of a stream, in their order.
    private static func ids(_ bytes: ByteBuffer) -> [Int64] {
        String(buffer: bytes).split(separator: "\n").filter { $0.hasPrefix("id: ") }.compactMap { Int64($0.dropFirst(4).dropLast(2)) }
    }

    // MARK: The ring

    @Test func `a ring takes what comes next, knows what it has, and says where something is missing`() {
        var ring = Self.ring((5...7).map { Self.frame($0) }, base: 4)
        #expect(ring.lastSeq == 7)
        #expect(ring.add(FeedFrame(Self.frame(6))) == .known)
        #expect(ring.add(FeedFrame(Self.frame(4))) == .known)
        #expect(ring.add(FeedFrame(Self.frame(9))) == .hole)
        #expect(ring.lastSeq == 7)
        #expect(ring.add(FeedFrame(Self.frame(8, isTerminal: true))) == .added)
        #expect(ring.isEnded && ring.lastSeq == 8)
    }

    @Test(arguments: [0, 1, 2, 5])
    func `from every cursor comes what follows it, each event once`(cursor: Int64) throws {
        let ring = Self.ring((1...5).map { Self.frame($0, isTerminal: $0 == 5) })
        let slice = try #require(ring.slice(after: cursor, maxBytes: 1 << 20))
        #expect(Self.ids(slice.bytes) == Array((cursor + 1)..<6))
        #expect(slice.lastSeq == 5 && slice.isTerminal)
    }

    @Test func `slices are bounded, and one after the other give everything`() throws {
        let ring = Self.ring((1...100).map { Self.frame($0, bytes: 100) })
        var (seen, cursor) = ([Int64](), Int64(0))
        while cursor < ring.lastSeq {
            let slice = try #require(ring.slice(after: cursor, maxBytes: 1000))
            // The event that passes the bound is the last.
            #expect(slice.bytes.readableBytes < 1000 + 200 && slice.lastSeq > cursor && !slice.isTerminal)
            seen += Self.ids(slice.bytes)
            cursor = slice.lastSeq
        }
        #expect(seen == Array(1...100))
    }

    @Test func `a ring holds so many events, and a cursor behind them is history's`() throws {
        let count = Int64(Limits.feedRingEvents * 3 + 7)
        let ring = Self.ring((1...count).map { Self.frame($0, bytes: 1) })
        let oldest = count - Int64(Limits.feedRingEvents)
        #expect(ring.base == oldest && ring.lastSeq == count)
        #expect(ring.slice(after: oldest - 1, maxBytes: 1 << 20) == nil)
        #expect(try #require(ring.slice(after: oldest, maxBytes: 1 << 30)).bytes.readableBytes > 0)
        #expect(Self.ids(try #require(ring.slice(after: oldest, maxBytes: 1 << 30)).bytes) == Array((oldest + 1)...count))
    }

    @Test func `a ring holds so many bytes, and always its newest event`() throws {
        let half = Limits.feedRingBytes / 2
        let ring = Self.ring((1...5).map { Self.frame($0, bytes: half) })
        #expect(ring.base == 4 && ring.lastSeq == 5)
        let large = Self.ring([Self.frame(1), Self.frame(2, bytes: Limits.feedRingBytes * 2)])
        #expect(large.base == 1)
        #expect(Self.ids(try #require(large.slice(after: 1, maxBytes: 1)).bytes) == [2])
    }

    // MARK: History

    @Test func `history tells of what retention has dropped, before what is left`() throws {
        let page = (41...45).map { Self.frame($0) }
        let pieces = FeedHistory.pieces(of: page, after: 7)
        let text = pieces.map { String(buffer: $0) }.joined()
        #expect(text.hasPrefix("event: gap\ndata: {\"requested\":7,\"earliest\":41,\"latest\":45}\n\nid: 41-0\n"))
        #expect(pieces.flatMap(Self.ids) == Array(41...45))
        // Nothing is missing behind the cursor before it.
        #expect(!FeedHistory.pieces(of: page, after: 40).map { String(buffer: $0) }.joined().contains("gap"))
        #expect(FeedHistory.pieces(of: [], after: 40).isEmpty)
    }

    @Test func `a page of history leaves in pieces of a bounded size`() {
        let page = (1...20).map { Self.frame($0, bytes: FeedHistory.pieceBytes / 4) }
        let pieces = FeedHistory.pieces(of: page, after: 0)
        #expect(pieces.count == 5 && pieces.flatMap(Self.ids) == Array(1...20))
        #expect(pieces.allSatisfy { $0.readableBytes < FeedHistory.pieceBytes + FeedHistory.pieceBytes / 2 })
    }
}
