import Testing

/// Nothing but the gate's road leads to what carries out a tool.
struct GateTests {
    /// What carries out calls, or sends them to where they are carried out, and the files that may ask it to.
    private static let executors: [(call: StaticString, by: Set<String>)] = [
        ("try await tools.perform(", ["Sources/Runtime/Runs/RunPerformer.swift"]),
        ("try await startChild(", ["Sources/Runtime/Runs/RunPerformer.swift"]),
        ("RunMachine.startChild(", ["Sources/Runtime/Runs/ChildStart.swift"]),
        ("mcp.perform(", ["Sources/Runtime/Tools/ServerTools.swift"]),
        ("RequestCall(", ["Sources/Runtime/Tools/ServerTools.swift"]),
        ("DeviceFrame.call(", ["Sources/Runtime/Devices/DeviceDispatch.swift", "Sources/Runtime/Devices/DeviceRepetition.swift"]),
        ("RunMachine.dispatch(", ["Sources/Runtime/Devices/DeviceDispatch.swift"]),
        ("let delivery = Delivery(", ["Sources/Runtime/External/Deliveries.swift"]),
        ("delivery.post(", ["Sources/Runtime/External/Deliveries.swift"]),
        ("RunMachine.schedule(", ["Sources/Runtime/Runs/RunPerformer.swift"]),
        // What a tool client answers is taken where the gate is asked about it.
        ("outcome.named(", ["Sources/Runtime/Runs/SubmittedResult.swift"]),
    ]

    private func sources() throws -> [SourceTree.File] { try SourceTree.sources.get() }

    @Test func `executors are called where the gate has passed, and nowhere else`() throws {
        for (call, files) in Self.executors {
            let callers = Set(try sources().filter { file in file.lines.contains { $0.code.has(call) } }.map(\.path))
            #expect(callers == files, "\(call)")
        }
    }

    @Test func `a pass is made by the gate alone, and what carries out asks for one`() throws {
        let makers = try sources().filter { file in file.lines.contains { $0.code.has("ToolPass(") } }.map(\.path)
        #expect(makers == ["Sources/Runtime/Gate/ToolPass.swift"])
        let pass = try #require(SourceTree.read("Sources/Runtime/Gate/ToolPass.swift"))
        #expect(pass.contains("fileprivate init(_ call: CallState, _ arguments: RawJSON, _ decision: PolicyDecision)"))
        // They see the call through its pass: what was judged, and nothing beside it.
        for path in ["Tools/ServerTools", "Tools/RequestCall", "Runs/ChildStart", "External/Delivery", "MCP/MCPTools"] {
            let file = try #require(try sources().first { $0.path == "Sources/Runtime/\(path).swift" })
            #expect(!file.lines.contains { $0.code.has("CallState") }, "\(path)")
        }
        let server = try #require(SourceTree.read("Sources/Runtime/Tools/ServerTools.swift"))
        #expect(server.contains("func perform(_ tool: ToolDefinition, _ pass: ToolPass)"))
        let child = try #require(SourceTree.read("Sources/Runtime/Runs/ChildStart.swift"))
        #expect(child.contains("_ pass: ToolPass"))
        let device = try #require(SourceTree.read("Sources/Runtime/Devices/DeviceDispatch.swift"))
        #expect(device.contains("let pass: ToolPass"))
        let external = try #require(SourceTree.read("Sources/Runtime/External/Delivery.swift"))
        #expect(external.contains("func post(_ pass: ToolPass)"))
        let frame = try #require(SourceTree.read("Sources/Runtime/Devices/DeviceFrame.swift"))
        #expect(
            frame.contains("static func call(_ pass: ToolPass,") && !frame.contains("RawJSON,"), "a call's frame is made of a pass alone")
    }

    /// What leaves the gateway by HTTP passes the egress guard, whose connections go to addresses that it has judged.
    @Test func `an HTTP client is made by the egress guard alone, and by the client's own programs`() throws {
        func makers(_ what: StaticString) throws -> Set<String> {
            Set(try sources().filter { file in file.lines.contains { $0.code.has(what) } }.map(\.path))
        }
        let client: Set<String> = ["Sources/HsafaClient/HsafaClient.swift", "Sources/hsafa/ConnectionOptions.swift"]
        #expect(try makers("HTTPClient(") == client.union(["Sources/Runtime/Egress/PinnedClients.swift"]))
        #expect(try makers("HTTPClient.shared").isEmpty && makers("HTTPClient.init").isEmpty)
        #expect(try makers("URLSession").isEmpty)
        // Other ways to connect: the drivers' own, the guard's, and a device's.
        #expect(
            try makers("ClientBootstrap(") == [
                "Sources/HsafaClient/Devices/WebSocketDial.swift", "Sources/Redis/Connector.swift",
            ])
        // Who takes one is given it: no module of the gateway but this holds a client.
        let holders = Set(
            try sources().filter { file in file.lines.contains { $0.code.has("import AsyncHTTPClient") } }.map(\.module))
        #expect(holders.isSubset(of: ["Runtime", "MCP", "ModelProviders", "HsafaClient"]))
    }

    @Test func `policies decide in one place`() throws {
        let deciders = Set(
            try sources().filter { $0.module == "Runtime" || $0.module == "GatewayHTTP" }
                .filter { file in file.lines.contains { $0.code.has("policies.decide(") } }.map(\.path))
        #expect(
            deciders == [
                "Sources/Runtime/Gate/ToolGate.swift", "Sources/Runtime/Gate/ToolPass.swift", "Sources/Runtime/Policy/PolicyService.swift",
            ], "the gate at a call, the gate at dispatch, and the dry run")
    }
}
