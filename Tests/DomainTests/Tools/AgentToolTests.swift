import Domain
import JSON
import Testing

/// Calls that start runs: what is told, what comes back, and what the machine lets happen.
struct AgentToolTests {
    private struct Missing: Error {}

    private static func tool(_ execution: String) throws -> AgentTool {
        let config = #"""
            {"version":"1.0","agent":{"name":"a"},"model":{"provider":"simulated","script":{}},"tools":[
                {"name":"t","executionType":"ai-agent","execution":\#(execution)}]}
            """#
        let parsed = try AgentConfig(reading: try JSONDocument(parsing: Array(config.utf8)).root)
        guard case .agent(let tool)? = parsed.tools.first?.serverKind else { throw Missing() }
        #expect(parsed.tools.first?.target == .server)
        return tool
    }

    @Test(arguments: [
        (#"{"agent":"b"}"#, #"{"q":"x"}"#, #"{"q":"x"}"#),
        (
            #"{"agent":"b","message":"Find {{q}}, {{deep.n}} and {{absent}}{{nothing}}."}"#,
            #"{"q":"${secret.A} {{q}}","deep":{"n":[1,2]},"nothing":null}"#, "Find ${secret.A} {{q}}, [1,2] and ."
        ),
    ])
    func `the other agent is told the message with the arguments in it, which are never read again`(
        _ execution: String, _ arguments: String, _ text: String
    ) throws {
        #expect(try Self.tool(execution).input(try RawJSON(trusted: Array(arguments.utf8)).document().root) == text)
    }

    @Test func `a message that comes to nothing, or to too much, is an error`() throws {
        let tool = try Self.tool(#"{"agent":"b","message":"{{q}}{{q}}{{q}}"}"#)
        #expect(throws: TemplateError.self) { try tool.input(try RawJSON("{}").document().root) }
        let large = String(repeating: "x", count: Limits.maxToolArgumentsBytes - 100)
        let arguments = RawJSON(trusted: Array(#"{"q":"\#(large)"}"#.utf8))
        #expect(throws: TemplateError.self) { try tool.input(try arguments.document().root) }
    }

    // MARK: The machine

    private struct Fixture {
        var log = LogBuilder.created()
        let call: NewToolCall

        init(_ target: ToolTarget = .server, approval: ApprovalRequest? = nil) throws {
            log.add(.runStarted, claim: 1)
            log.add([RunMachine.stepStarted(1)], claim: 1)
            call = NewToolCall(
                callID: .generate(), providerCallID: "p", tool: "t", target: target, arguments: .emptyObject, device: nil,
                timeoutSeconds: 45,
                approval: approval)
            let transition = RunMachine.finishStep(
                try log.fold(),
                message: RunEventData.assistantMessage(
                    step: 1, text: "", reasoning: "",
                    calls: [RequestedCall(callID: call.callID, providerCallID: "p", name: "t", arguments: "{}")], usage: TokenUsage(),
                    finishReason: "stop"),
                calls: [.admitted(call)], usage: TokenUsage(), finishReason: "stop", maxSteps: 5)
            log.add(transition.events, claim: 1)
        }

        func child(_ output: AgentTool.Output = .text) -> NewChildRun {
            let id = RunID.generate()
            return NewChildRun(
                agentID: .generate(), agentName: "b", versionID: .generate(),
                parent: RunParent(runID: id, callID: call.callID, rootRunID: id, depth: 1, output: output), message: "Go.",
                deadlineSeconds: 45)
        }
    }

    @Test func `a call starts one run, and then nobody works on it here`() throws {
        var fixture = try Fixture()
        let child = fixture.child()
        let transition = try #require(RunMachine.startChild(child, in: try fixture.log.fold()))
        #expect(transition.events.map(\.type) == [.toolCallDispatched] && transition.status == nil)
        #expect(transition.child == child)
        fixture.log.add(transition.events, claim: 1)
        let state = try fixture.log.fold()
        #expect(state.call(fixture.call.callID)?.childRunID == child.runID && state.childCount == 1)
        #expect(RunMachine.startChild(fixture.child(), in: state) == nil, "it has its run")
        guard case .end(let rest) = RunMachine.next(state, maxSteps: 5) else { throw Missing() }
        #expect(rest.status == .waitingTool)
        // What the child comes to goes the road of every result.
        fixture.log.add(rest.events, claim: 1)
        let outcome = ToolOutcome.result(RawJSON("1"), source: .server)
        let recorded = try #require(RunMachine.record(outcome, of: fixture.call.callID, in: try fixture.log.fold()))
        #expect(recorded.status == .queued && recorded.resumeReason == "tool_results")
    }

    @Test func `no run is started for a call that waits for a person, is over, or of a run that is to end`() throws {
        let asks = try Fixture(approval: ApprovalRequest(expiresSeconds: 60, rules: ["r"], now: LogBuilder.time))
        #expect(RunMachine.startChild(asks.child(), in: try asks.log.fold()) == nil)
        #expect(
            try {
                let device = try Fixture(.browser); return RunMachine.startChild(device.child(), in: try device.log.fold())
            }() == nil)
        var canceled = try Fixture()
        canceled.log.add(.runCancelRequested)
        #expect(RunMachine.startChild(canceled.child(), in: try canceled.log.fold()) == nil)
        var over = try Fixture()
        over.log.add([RunEventData.outcome(.expired, of: over.call.callID)], claim: 0)
        #expect(RunMachine.startChild(over.child(), in: try over.log.fold()) == nil)
    }

    // MARK: What a run is to its call

    private func ended(_ child: NewChildRun, text: String, by end: (RunState) -> RunTransition?) throws -> RunState {
        var log = LogBuilder()
        log.add([child.created], claim: 0)
        log.add(.runStarted, claim: 1)
        log.add([RunMachine.stepStarted(1)], claim: 1)
        #expect(RunMachine.outcome(ofChild: try log.fold()) == nil, "it goes on")
        let transition =
            try end(log.fold())
            ?? RunMachine.finishStep(
                try log.fold(),
                message: RunEventData.assistantMessage(
                    step: 1, text: text, reasoning: "", calls: [], usage: TokenUsage(), finishReason: "stop"),
                calls: [], usage: TokenUsage(), finishReason: "stop", maxSteps: 5)
        log.add(transition.events, claim: 1)
        let state = try log.fold()
        #expect(state.parent == child.parent && state.status.isTerminal)
        return state
    }

    @Test(
        arguments: [
            (AgentTool.Output.text, " as it is\n", #"" as it is\n""#), (.text, "", #""""#), (.json, #" {"a": [1 , 2]} "#, #"{"a":[1,2]}"#),
            (.json, "```json\n{\"a\":1}\n```", #"{"a":1}"#), (.json, "```\n[1]\n```\n", "[1]"), (.json, "42", "42"),
            (.json, "Here: {}", nil), (.json, "", nil), (.json, "```", nil), (.json, "``````", nil), (.json, "```json\n```", nil),
        ] as [(AgentTool.Output, String, String?)])
    func `the last text is the result, or the JSON that it is`(output: AgentTool.Output, text: String, result: String?) throws {
        let outcome = RunMachine.outcome(ofChild: try ended(try Fixture().child(output), text: text) { _ in nil })
        #expect(outcome?.result?.string == result)
        #expect(outcome?.error?.code == (result == nil ? "child_output_not_json" : nil) && outcome?.source == .server)
    }

    @Test func `a result of any size fits, and an end that is no success is an error that says why`() throws {
        let text = String(repeating: "\u{1}x", count: Limits.maxToolResultBytes)
        let cut = RunMachine.outcome(ofChild: try ended(try Fixture().child(), text: text) { _ in nil })?.bounded(to: nil).result
        #expect(try #require(cut).bytes.count <= Limits.maxToolResultBytes)
        #expect(text.hasPrefix(try #require(try cut?.document().root["head"]?.string)))
        let failed = try ended(try Fixture().child(), text: "") { RunMachine.failed($0, code: "c", message: "It broke.") }
        #expect(RunMachine.outcome(ofChild: failed)?.error?.message == "The agent's run failed: It broke. (c)")
        #expect(RunMachine.outcome(ofChild: try LogBuilder.created().fold()) == nil, "nobody's child")
    }
}
