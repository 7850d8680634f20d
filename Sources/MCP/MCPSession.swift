public import JSON
import Logging
import Synchronization

/// One conversation with a server: of a legacy server a session of its own, so that two sessions share nothing there. Any number of requests
/// may be under way at once. Deadlines are the caller's; at one, or when the task is canceled, the server is told and nothing is left behind.
public final class MCPSession: Sendable {
    private let wire: Wire
    private let info: MCPClientInfo
    private let eras: EraBook
    private let logger: Logger
    private let ids = RequestIDs()
    private let notices = ServerNotices()
    /// The open session of a legacy server.
    private let legacy = Mutex<LegacyDialect?>(nil)

    init(wire: Wire, info: MCPClientInfo, eras: EraBook, logger: Logger) {
        self.wire = wire
        self.info = info
        self.eras = eras
        self.logger = logger
    }

    /// True once after each time the server said that its list of tools has changed.
    public func takeToolsChanged() -> Bool { notices.takeToolsChanged() }

    /// The era that the server is of, as far as it is known.
    public var era: MCPEra? { eras.era(key) }

    /// The server's tools, page by page; those that `wanted` does not want are not read any further.
    public func tools(
        deadline: ContinuousClock.Instant, wanted: @escaping @Sendable (String) -> Bool = { _ in true }
    ) async throws -> MCPToolList {
        try await converse(deadline) { [limits = wire.limits] in
            try await ToolListing(limits: limits, wanted: wanted).tools($0)
        }
    }

    /// A tool's own failure is a result (`isError`); `MCPError` is thrown where there is none. Not made again once the server may have begun
    /// with it.
    public func call(_ tool: MCPTool, arguments: RawJSON, deadline: ContinuousClock.Instant) async throws -> MCPToolResult {
        try await converse(deadline) { [limits = wire.limits] in
            try await ToolCalling(limits: limits).call(tool, arguments: arguments, $0)
        }
    }

    /// Ends the session where the server keeps one.
    public func close() async { await legacy.withLock { $0.take() }?.close() }

    private var key: EraBook.Key { EraBook.Key(partition: wire.server.partition, url: wire.server.url) }

    private func converse<Value: Sendable>(
        _ deadline: ContinuousClock.Instant, _ talk: @escaping @Sendable (any Dialect) async throws -> Value
    ) async throws -> Value {
        try await withDeadline(deadline) { fail in
            // Twice at most anew: for a session that is over, and for a server that has become another one.
            var sessionsLost = 0
            var erasDoubted = 0
            while true {
                let known = self.eras.era(self.key)
                do {
                    return try await talk(try await self.dialect(known, deadline, fail))
                } catch let error as MCPError where error.lostSession && sessionsLost == 0 {
                    sessionsLost += 1
                    _ = self.legacy.withLock { $0.take() }
                } catch let error as MCPError where error.doubtsEra {
                    self.eras.forget(self.key)
                    _ = self.legacy.withLock { $0.take() }
                    // What was found out a moment ago would be found out again.
                    guard known != nil, erasDoubted == 0 else { throw error }
                    erasDoubted += 1
                    self.logger.info(
                        "an MCP server is not what it was", metadata: ["url": "\(self.wire.server.loggable)", "cause": "\(error.detail)"])
                }
            }
        }
    }

    private func dialect(_ known: MCPEra?, _ deadline: ContinuousClock.Instant, _ fail: @escaping Failing) async throws -> any Dialect {
        switch known {
        case .modern: return ModernDialect(wire: wire, ids: ids, notices: notices, client: info)
        case .legacy:
            if let open = legacy.withLock({ $0 }) { return open }
            return await keep(try await .open(wire, ids, notices, info))
        case .eventStream:
            let dialect = try await EventStreamDialect(connecting: wire, ids, notices, fail: fail)
            try await dialect.initialize(info)
            return dialect
        case nil: break
        }
        let verdict = try await EraDetection(wire: wire, ids: ids, notices: notices, client: info, fail: fail).detect(deadline: deadline)
        let found: any Dialect
        switch verdict {
        case .modern(let dialect): found = dialect
        case .legacy(let dialect): found = await keep(dialect)
        case .eventStream(let dialect): found = dialect
        }
        eras.remember(found.era, key)
        return found
    }

    /// Of two that opened a session at once, one closes its own.
    private func keep(_ opened: LegacyDialect) async -> LegacyDialect {
        let kept = legacy.withLock { current in
            if let current { return current }
            current = opened
            return opened
        }
        if kept.sessionID != opened.sessionID { await opened.close() }
        return kept
    }
}

extension MCPServer {
    /// Without its query, which may hold a credential.
    var loggable: String { String(url.prefix { $0 != "?" && $0 != "#" }).printable(maxBytes: 256) }
}
