import Domain
import JSON
import Testing

@testable import MCP
@testable import Runtime

/// What lists of MCP servers' tools may take, whoever they belong to.
struct MCPListBookTests {
    private static func server() throws -> MCPServerConfig {
        let config = RawJSON(
            """
            {"version":"1.0","agent":{"name":"a"},"model":{"provider":"simulated","script":{"steps":[{"text":"x"}]}},
             "mcp":{"servers":[{"name":"docs","url":"https://mcp.test/"}]}}
            """)
        return try #require(try AgentConfig(reading: try config.document().root).mcpServers.first)
    }

    /// A list of tools whose schemas have so many bytes each.
    private static func list(_ count: Int, schemaBytes: Int) throws -> MCPList {
        let schema = RawJSON.object { writer in
            writer.field("type", string: "object")
            writer.field("$comment", string: String(repeating: "x", count: schemaBytes))
        }
        var told = MCPToolList(era: .modern)
        told.tools = (0..<count).map {
            MCPTool(
                name: "t\($0)", title: nil, description: nil, inputSchema: schema, outputSchema: nil, parameterHeaders: ParameterHeaders())
        }
        return MCPList(told, of: try server())
    }

    @Test func `tools whose schemas take too much together are refused one by one`() throws {
        let list = try Self.list(Limits.maxMCPToolsOfServer * 4, schemaBytes: 60_000)
        guard case .tools(let tools) = list.outcome else { throw MCPError(.badAnswer, "no list") }
        #expect(!tools.isEmpty && !list.refused.isEmpty && tools.count + list.refused.count == Limits.maxMCPToolsOfServer * 4)
        #expect(list.bytes <= Limits.maxMCPListBytes)
    }

    @Test func `a tenant's lists make room for its own, and leave others'`() throws {
        let book = MCPListBook()
        let (other, own) = (TenantID.generate(), TenantID.generate())
        let kept = AgentVersionID.generate()
        book.keep(try Self.list(1, schemaBytes: 60_000), kept, "docs", of: other)
        let list = try Self.list(20, schemaBytes: 60_000)
        try #require(list.bytes > 20 * 60_000)
        let fit = Limits.maxKeptMCPBytesOfTenant / list.bytes
        let versions = (0..<fit * 3).map { _ in AgentVersionID.generate() }
        for version in versions { book.keep(list, version, "docs", of: own) }
        #expect(versions.map { book.list($0, "docs") != nil } == versions.indices.map { $0 >= versions.count - fit })
        #expect(book.list(kept, "docs") != nil)
        // What is forgotten gives its room back.
        book.forget(try #require(versions.last), "docs")
        book.keep(list, versions[0], "docs", of: own)
        #expect(book.list(versions[versions.count - fit], "docs") != nil && book.list(versions[0], "docs") != nil)
    }
}
