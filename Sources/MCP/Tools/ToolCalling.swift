import JSON

/// `tools/call`.
struct ToolCalling {
    let limits: MCPLimits

    func call(_ tool: MCPTool, arguments: RawJSON, _ dialect: any Dialect) async throws -> MCPToolResult {
        do {
            return try await ask(tool, arguments, dialect)
        } catch let error as MCPError where error.rpcCode == RPCFailure.headerMismatch {
            // The parameters that it wants in headers are others now; nothing was begun.
            let now = try await ToolListing(limits: limits, wanted: { $0 == tool.name }).tools(dialect)
            guard let changed = now.tools.first, changed.parameterHeaders != tool.parameterHeaders else { throw error }
            return try await ask(changed, arguments, dialect)
        }
    }

    private func ask(_ tool: MCPTool, _ arguments: RawJSON, _ dialect: any Dialect) async throws -> MCPToolResult {
        var call = RPCCall(
            method: "tools/call", parameters: [("name", RPCCall.json(tool.name)), ("arguments", arguments)], name: tool.name)
        if dialect.era == .modern {
            let document = try parsed(arguments)
            call.parameterHeaders = try tool.parameterHeaders.headers(for: document, maxValueBytes: limits.maxHeaderValueBytes)
        }
        let plain = call.parameters
        for _ in 0...limits.maxStateRounds {
            let result = try await dialect.request(call)
            guard result["resultType"]?.string == "input_required" else { return try ToolContent(limits: limits).result(of: result) }
            guard result["inputRequests"].map({ $0.count == 0 }) ?? true, let state = result["requestState"]?.string else {
                throw MCPError(.inputRequired, "The tool asks for input that an agent cannot give (\(Self.wanted(result))).")
            }
            // Nothing is asked for: the server only wants its state back.
            call.parameters = plain + [("requestState", RPCCall.json(state))]
        }
        throw MCPError.malformed("it wants the same request again and again")
    }

    private func parsed(_ arguments: RawJSON) throws -> JSONNode {
        do { return try arguments.document().root } catch {
            throw MCPError(.invalidParameters, "The arguments are no valid JSON.", detail: "\(error)")
        }
    }

    private static func wanted(_ result: JSONNode) -> String {
        let methods = result["inputRequests"]?.members.prefix(8).compactMap { $0.value["method"]?.string } ?? []
        return methods.isEmpty ? "unnamed" : methods.joined(separator: ", ").printable(maxBytes: 256)
    }
}
