import JSON

/// `tools/list`, over all its pages.
struct ToolListing {
    let limits: MCPLimits
    let wanted: @Sendable (String) -> Bool

    func tools(_ dialect: any Dialect) async throws -> MCPToolList {
        var list = MCPToolList(era: dialect.era)
        var names: Set<String> = []
        var cursor: String?
        var cursors: Set<String> = []
        var bytes = 0
        for page in 1... {
            var call = RPCCall(method: "tools/list")
            if let cursor { call.parameters = [("cursor", RPCCall.json(cursor))] }
            let result = try await dialect.request(call)
            guard let tools = result["tools"], tools.kind == .array else { throw MCPError.malformed("it holds no list of tools") }
            bytes += result.raw.count
            if let ttl = result["ttlMs"]?.int { list.ttlMilliseconds = min(list.ttlMilliseconds ?? .max, max(ttl, 0)) }
            for node in tools.elements { add(node, to: &list, &names, dialect.era) }
            // An empty cursor is one as well: only its absence ends the list.
            guard let next = result["nextCursor"], !next.isNull else { return list }
            guard let text = next.string, text.utf8.count <= limits.maxCursorBytes else {
                throw MCPError.malformed("its cursor is no short string")
            }
            guard page < limits.maxPages, bytes < limits.maxListBytes, !list.isCut, cursors.insert(text).inserted else { break }
            cursor = text
        }
        list.isCut = true
        return list
    }

    private func add(_ node: JSONNode, to list: inout MCPToolList, _ names: inout Set<String>, _ era: MCPEra) {
        let name = node["name"]?.string ?? ""
        guard wanted(name) else { return }
        guard list.tools.count < limits.maxTools else {
            list.isCut = true
            return
        }
        do throws(Unusable) {
            let tool = try tool(node, named: name, era)
            guard names.insert(name).inserted else { throw Unusable("its name is another tool's") }
            list.tools.append(tool)
        } catch {
            guard list.refused.count < limits.maxTools else { return }
            list.refused.append(.init(tool: name.printable(maxBytes: limits.maxToolNameBytes), reason: error.reason))
        }
    }

    private func tool(_ node: JSONNode, named name: String, _ era: MCPEra) throws(Unusable) -> MCPTool {
        guard !name.isEmpty, name.utf8.count <= limits.maxToolNameBytes, name.printable(maxBytes: .max) == name else {
            throw Unusable("its name is not 1 to \(limits.maxToolNameBytes) bytes of printable text")
        }
        guard let schema = node["inputSchema"], schema.kind == .object else { throw Unusable("it has no inputSchema") }
        guard schema.raw.count <= limits.maxSchemaBytes else {
            throw Unusable("its inputSchema is larger than \(limits.maxSchemaBytes) bytes")
        }
        let output = node["outputSchema"].flatMap { $0.kind == .object && $0.raw.count <= limits.maxSchemaBytes ? $0.rawJSON : nil }
        return MCPTool(
            name: name, title: node["title"]?.string?.prefix(utf8Bytes: 256),
            description: node["description"]?.string?.prefix(utf8Bytes: limits.maxDescriptionBytes), inputSchema: schema.rawJSON,
            outputSchema: output, parameterHeaders: era == .modern ? try ParameterHeaders(of: schema) : ParameterHeaders())
    }
}

/// Why a tool cannot be used as its server describes it.
struct Unusable: Error {
    let reason: String

    init(_ reason: String) { self.reason = reason }
}
