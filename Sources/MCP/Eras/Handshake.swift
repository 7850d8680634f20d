import JSON

/// `initialize`, as all versions before 2026-07-28 begin.
enum Handshake {
    static func call(_ client: MCPClientInfo) -> RPCCall {
        RPCCall(
            method: "initialize",
            parameters: [
                ("protocolVersion", RPCCall.json(ProtocolVersion.newestHandshake)), ("capabilities", .emptyObject),
                (
                    "clientInfo",
                    {
                        var writer = JSONWriter()
                        client.write(to: &writer)
                        return RawJSON(trusted: writer.bytes)
                    }()
                ),
            ])
    }

    static let initialized = RPCCall(method: "notifications/initialized").notification()

    /// The version that the server chose.
    static func version(in result: JSONNode) throws(MCPError) -> String {
        guard let version = result["protocolVersion"]?.string else { throw .malformed("its handshake names no protocol version") }
        guard ProtocolVersion.handshake.contains(version) else {
            throw MCPError(
                .unsupportedVersion, "The MCP server speaks a version of the protocol that this client does not know.",
                detail: version.printable(maxBytes: 64))
        }
        return version
    }

    /// Told of a request that nobody waits for any more.
    static func cancellation(of id: Int) -> RawJSON {
        RPCCall(method: "notifications/cancelled", parameters: [("requestId", number(id)), ("reason", RPCCall.json("canceled"))])
            .notification()
    }

    private static func number(_ value: Int) -> RawJSON {
        var writer = JSONWriter()
        writer.int(value)
        return RawJSON(trusted: writer.bytes)
    }
}
