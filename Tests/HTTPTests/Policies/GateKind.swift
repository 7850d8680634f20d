import Domain
import JSON
import TestServers
import Testing

/// Everything that a tool can be, and an example of each: the table over which the gate's cases run. A new kind of server tool does not
/// compile without its place here, a new target fails the suite, and so does a kind that can be published and has no example.
enum GateKind: String, CaseIterable, Sendable {
    case request, compute, `static`, passThrough = "pass-through", mcp = "MCP tool", waiting, agent = "ai-agent"
    case device, browser, external, delivery = "external with a URL"

    init(_ kind: ServerToolKind) {
        switch kind {
        case .static: self = .static
        case .passThrough: self = .passThrough
        case .request: self = .request
        case .compute: self = .compute
        case .waiting: self = .waiting
        case .agent: self = .agent
        case .mcp: self = .mcp
        }
    }

    var target: ToolTarget {
        switch self {
        case .request, .compute, .static, .passThrough, .mcp, .waiting, .agent: .server
        case .device: .device
        case .browser: .browser
        case .external, .delivery: .external
        }
    }

    /// Kinds that this version refuses to publish, each with such a config. One that it takes belongs into `tool(_:_:)`.
    static let refused: [GateKind: String] = [:]

    /// A tool of this kind as a config declares it, that answers whatever its arguments are; nil for one that is discovered, and for kinds
    /// that are refused.
    func tool(_ name: String, _ places: Places) -> String? {
        func server(_ type: String, _ execution: String) -> String {
            #"{"name":"\#(name)","executionType":"\#(type)","execution":\#(execution)}"#
        }
        return switch self {
        case .request: server("request", #"{"url":"\#(places.requests)/\#(name)"}"#)
        case .compute: server("compute", #"{"expression":"{done: true}"}"#)
        case .static: server("basic", #"{"mode":"static","output":"done"}"#)
        case .passThrough: server("basic", #"{"mode":"pass-through"}"#)
        case .device, .browser, .external: target.tool(name)
        case .agent: server("ai-agent", #"{"agent":"\#(Places.agent)"}"#)
        case .waiting: server("waiting", #"{"seconds":1}"#)
        case .delivery:
            #"{"name":"\#(name)","target":"external","timeoutSeconds":120,"execution":{"url":"\#(places.requests)/\#(name)"}}"#
        case .mcp: nil
        }
    }

    /// Stands before the names of its tools.
    var prefix: String { self == .mcp ? "gated." : "" }

    func config(_ agent: String, steps: [String], tools: [String], _ places: Places) -> RawJSON {
        let text = Config.text(agent, steps: steps, tools: tools.compactMap { tool($0, places) })
        let servers = self == .mcp ? #","mcp":{"servers":[{"name":"gated","url":"\#(places.mcp)"}]}"# : ""
        return RawJSON(trusted: Array((text.dropLast() + servers + "}").utf8))
    }

    /// Where tools of these tests reach out to.
    struct Places: Sendable {
        let server: ToolServer
        let mcp: String
        var requests: String { "http://127.0.0.1:\(server.port)" }

        /// Another agent of the tenant, that answers.
        static let agent = "other"

        static let shared = Task {
            Places(
                server: try await ToolServer { _ in .json(#"{"done":true}"#) }, mcp: try await MCPServerProcess.shared(.two, .gate).url)
        }
    }
}

struct GateKindTests {
    @Test func `every target has its kind, and every kind that can be published its example`() async throws {
        #expect(Set(GateKind.allCases.map(\.target)) == Set(ToolTarget.allCases))
        let places = try await GateKind.Places.shared.value
        for kind in GateKind.allCases where kind != .mcp {
            guard kind.tool("ok", places) != nil else {
                #expect(GateKind.refused[kind] != nil, "\(kind.rawValue) has neither an example nor a config that is refused")
                continue
            }
            #expect(GateKind.refused[kind] == nil, "\(kind.rawValue)")
            let config = kind.config("agent", steps: [Config.says], tools: ["ok"], places)
            let tool = try #require(try AgentConfig(reading: try config.document().root).tools.first)
            #expect(tool.target == kind.target)
            #expect(tool.serverKind.map(GateKind.init) ?? kind == kind)
        }
    }

    @Test func `a kind without an example cannot be published`() async throws {
        let tenant = try await TestTenant.make()
        for (kind, tool) in GateKind.refused {
            let config = Config.text("agent", steps: [Config.says], tools: [tool])
            let answer = try await tenant.send("POST", "/api/agents", #"{"name":"agent","config":\#(config)}"#)
            #expect(answer.status == 422, "\(kind.rawValue) can be published: give it an example, so that the gate's cases run over it")
        }
    }
}
