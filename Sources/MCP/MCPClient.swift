public import Logging

/// A client of the Model Context Protocol, for all its eras (2024-11-05 to 2026-07-28). Keeps no connection and no task of its own: what it
/// keeps is which era a server is of.
public final class MCPClient: Sendable {
    private let info: MCPClientInfo
    private let limits: MCPLimits
    private let eras: EraBook
    private let logger: Logger

    public init(
        info: MCPClientInfo, limits: MCPLimits = MCPLimits(), logger: Logger = Logger(label: "hsafa.mcp")
    ) {
        self.info = info
        self.limits = limits
        self.logger = logger
        eras = EraBook(limits)
    }

    /// Says nothing to the server yet. The caller closes it. Every request of the session is made by `exchange`, and what the server says
    /// goes through `withholding` first.
    public func session(
        with server: MCPServer, withholding: @escaping MCPWithholding = { $0 }, through exchange: @escaping MCPExchange
    ) -> MCPSession {
        let wire = Wire(server: server, exchange: exchange, withholding: withholding, limits: limits)
        return MCPSession(wire: wire, info: info, eras: eras, logger: logger)
    }

    /// Servers whose era is known now, for a gauge.
    public var knownEras: Int { eras.count }
}
