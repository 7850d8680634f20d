import Domain
import NIOCore
import Storage

/// What a run's watchers read before they are live: pages of its log, as pieces of their streams.
struct FeedHistory: Sendable {
    let database: Database
    let stream: RunStream

    /// Small enough that a slow connection shows progress with each.
    static let pieceBytes = 64 * 1024

    /// The hot window where it has the next event, else Postgres.
    func page(_ scope: TenantScope, _ run: RunID, after cursor: Int64) async throws -> [RunFrame] {
        if let frames = await stream.read(run, after: cursor, limit: Limits.feedPageEvents) { return frames }
        return try await database.tenant(scope).events(of: run, after: cursor, limit: Limits.feedPageEvents).map { RunFrame($0, of: run) }
    }

    /// The page's events as a stream carries them, with a `gap` before them where retention has dropped what was asked for.
    static func pieces(of page: [RunFrame], after cursor: Int64) -> [ByteBuffer] {
        guard let first = page.first, let last = page.last else { return [] }
        var pieces: [ByteBuffer] = []
        var buffer = ByteBuffer()
        if first.seq > cursor + 1 { buffer.writeString(gap(requested: cursor, earliest: first.seq, latest: last.seq)) }
        for frame in page {
            buffer.writeImmutableBuffer(FeedFrame(frame).bytes)
            guard buffer.readableBytes >= pieceBytes || frame.seq == last.seq else { continue }
            pieces.append(buffer)
            buffer = ByteBuffer()
        }
        return pieces
    }

    private static func gap(requested: Int64, earliest: Int64, latest: Int64) -> String {
        "event: gap\ndata: {\"requested\":\(requested),\"earliest\":\(earliest),\"latest\":\(latest)}\n\n"
    }
}
