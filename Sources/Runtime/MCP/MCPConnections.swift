import MCP
import Storage
import Synchronization

/// The sessions of one claim of a run: no other run shares them, so what a server remembers of one conversation another never sees.
final class MCPConnections: Sendable {
    let claimed: ClaimedRun
    private let sessions = Mutex<[String: MCPSession]>([:])

    init(claimed: ClaimedRun) { self.claimed = claimed }

    func session(_ server: String) -> MCPSession? { sessions.withLock { $0[server] } }

    /// Of two that were made at once the first stays; neither has said anything yet.
    func keep(_ session: MCPSession, _ server: String) -> MCPSession {
        sessions.withLock { sessions in
            if let first = sessions[server] { return first }
            sessions[server] = session
            return session
        }
    }

    /// Says goodbye to all servers at once, for a bounded time.
    func close() async {
        let open = sessions.withLock { sessions in
            defer { sessions = [:] }
            return Array(sessions.values)
        }
        guard !open.isEmpty else { return }
        await withTaskGroup(of: Void.self) { group in
            for session in open { group.addTask { await session.close() } }
        }
    }
}
