import Domain
import JSON
import Testing

struct MCPServerConfigTests {
    private func config(_ servers: String, tools: String = "[]") throws -> AgentConfig {
        let text =
            #"{"version":"1.0","agent":{"name":"a"},"model":{"provider":"simulated","script":{"steps":[]}},"tools":\#(tools),"mcp":{"servers":\#(servers)}}"#
        return try AgentConfig(reading: try JSONDocument(parsing: Array(text.utf8)).root)
    }

    @Test func `a server that says everything is read, one that says little has the defaults`() throws {
        let servers = try config(
            #"[{"name":"docs","url":"https://docs.example/mcp?x=1","transport":"http","headers":{"Authorization":"Bearer x"},"allowedTools":["search"],"timeoutSeconds":5},{"name":"b","url":"http://b.example"}]"#
        ).mcpServers
        try #require(servers.count == 2)
        #expect(servers[0].transport == .http)
        #expect(try servers[0].filledHeaders([]).map { "\($0.name): \($0.value)" } == ["Authorization: Bearer x"])
        #expect(servers[0].toolName("search") == "docs.search")
        #expect(servers[0].allows("search") && !servers[0].allows("delete"))
        #expect(servers[0].namedTools.map(\.name) == ["docs.search"])
        #expect(servers[0].namedTools.map(\.target) == [.server])
        #expect(servers[0].timeoutSeconds == 5)
        #expect(servers[1].transport == .auto)
        #expect(servers[1].allows("anything") && servers[1].namedTools.isEmpty)
        #expect(servers[1].timeoutSeconds == Limits.defaultMCPCallSeconds)
    }

    @Test(arguments: [
        (#"{}"#, ""), (#"[{"url":"https://x"}]"#, "/0/name"), (#"[{"name":"a.b","url":"https://x"}]"#, "/0/name"),
        (#"[{"name":"a","url":"ftp://x"}]"#, "/0/url"), (#"[{"name":"a","url":"https://u:p@x/"}]"#, "/0/url"),
        (#"[{"name":"a","url":"https:///x"}]"#, "/0/url"), (#"[{"name":"a","url":"https://x/#f"}]"#, "/0/url"),
        (#"[{"name":"a","url":"https://x/\u00e9"}]"#, "/0/url"), (#"[{"name":"a","url":"https://x","transport":"stdio"}]"#, "/0/transport"),
        (#"[{"name":"a","url":"https://x","headers":{"Host":"y"}}]"#, "/0/headers/Host"),
        (#"[{"name":"a","url":"https://x","headers":{"MCP-Session-Id":"y"}}]"#, "/0/headers/MCP-Session-Id"),
        (#"[{"name":"a","url":"https://x","headers":{"a b":"y"}}]"#, "/0/headers/a b"),
        (#"[{"name":"a","url":"https://x","headers":{"a":"y\r\nz: 1"}}]"#, "/0/headers/a"),
        (#"[{"name":"a","url":"https://x","headers":{"a":7}}]"#, "/0/headers/a"),
        (#"[{"name":"a","url":"https://x","headers":{"a":"1","A":"2"}}]"#, "/0/headers/A"),
        (#"[{"name":"a","url":"https://x","allowedTools":"search"}]"#, "/0/allowedTools"),
        (#"[{"name":"a","url":"https://x","timeoutSeconds":0}]"#, "/0/timeoutSeconds"),
        (#"[{"name":"a","url":"https://x","command":"rm"}]"#, "/0/command"),
        (#"[{"name":"a","url":"https://x"},{"name":"a","url":"https://y"}]"#, "/1/name"),
    ]) func `a server that is wrong is refused with its place`(_ servers: String, _ pointer: String) {
        let violation = #expect(throws: JSONViolation.self) { try config(servers) }
        #expect(violation?.pointer == "/mcp/servers" + pointer)
    }

    @Test func `a server's tools can never take a published tool's name`() throws {
        let tool = #"[{"name":"docs.search","target":"browser"}]"#
        let violation = #expect(throws: JSONViolation.self) { try config(#"[{"name":"docs","url":"https://x"}]"#, tools: tool) }
        #expect(violation?.pointer == "/mcp/servers/0/name")
        // Nor where the config is put together with what a server told of.
        let published = try config(#"[{"name":"other","url":"https://x"}]"#, tools: tool)
        let rival = try config(#"[{"name":"docs","url":"https://x","allowedTools":["search","more"]}]"#).mcpServers[0].namedTools
        let both = published.adding(rival)
        #expect(both.tools.map(\.name) == ["docs.search", "docs.more"])
        #expect(both.tool(named: "docs.search")?.target == .browser)
    }

    @Test func `there are at most so many servers`() {
        let servers = (0...Limits.maxMCPServers).map { #"{"name":"s\#($0)","url":"https://x"}"# }.joined(separator: ",")
        #expect(throws: JSONViolation.self) { try config("[\(servers)]") }
    }
}
