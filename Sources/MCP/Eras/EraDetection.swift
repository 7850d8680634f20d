import JSON

/// Finds out which era a server is of: a modern request first, then `initialize`, then the event stream (2026-07-28, Backward
/// Compatibility). An outage, a refusal of credentials, or a redirection is no verdict: it is thrown.
struct EraDetection {
    let wire: Wire
    let ids: RequestIDs
    let notices: ServerNotices
    let client: MCPClientInfo
    let fail: Failing

    enum Verdict {
        case modern(ModernDialect)
        case legacy(LegacyDialect)
        case eventStream(EventStreamDialect)
    }

    func detect(deadline: ContinuousClock.Instant) async throws -> Verdict {
        switch wire.server.transport {
        case .automatic: break
        case .http: return try await isModern(deadline) ? .modern(modern) : .legacy(try await .open(wire, ids, notices, client))
        case .sse: return .eventStream(try await eventStream())
        }
        if try await isModern(deadline) { return .modern(modern) }
        do {
            return .legacy(try await .open(wire, ids, notices, client))
        } catch let refusal as MCPError where refusal.doubtsEra {
            do { return .eventStream(try await eventStream()) } catch let error as MCPError where error.doubtsEra {
                // It is none of the three; what it said to the handshake tells more than what it said to a GET.
                throw refusal
            }
        }
    }

    private var modern: ModernDialect { ModernDialect(wire: wire, ids: ids, notices: notices, client: client) }

    private func eventStream() async throws -> EventStreamDialect {
        let dialect = try await EventStreamDialect(connecting: wire, ids, notices, fail: fail)
        try await dialect.initialize(client)
        return dialect
    }

    /// `server/discover` is what no server before that era knows, and every one of it must.
    private func isModern(_ deadline: ContinuousClock.Instant) async throws -> Bool {
        let probe = modern
        // A legacy server may leave a request that it does not understand without an answer.
        let half = ContinuousClock.now.advanced(by: (deadline - .now) / 2)
        do {
            let versions = try await withDeadline(half) { _ in
                try await probe.request(RPCCall(method: "server/discover"))["supportedVersions"]?.elements.prefix(64).compactMap(\.string)
            }
            return versions?.contains(ProtocolVersion.modern) ?? false
        } catch let error as MCPError {
            switch error.code {
            case .unreachable, .refused, .unauthorized, .redirected, .rateLimited: throw error
            case .unsupportedVersion: return try isLegacyToo(error)
            default: return error.rpcCode.map { $0 == RPCFailure.headerMismatch || $0 == RPCFailure.missingCapability } ?? false
            }
        }
    }

    /// A server that refuses our version names its own.
    private func isLegacyToo(_ error: MCPError) throws -> Bool {
        guard error.supportedVersions.contains(where: ProtocolVersion.handshake.contains) || error.supportedVersions.isEmpty else {
            throw error
        }
        return false
    }
}
