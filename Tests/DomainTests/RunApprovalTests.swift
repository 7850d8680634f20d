import Domain
import JSON
import Testing

/// A person decides: bound to the exact call, once, in time.
struct RunApprovalTests {
    private struct Fixture {
        var log = LogBuilder.created()
        let call: NewToolCall

        init(_ target: ToolTarget, asks: Bool = true, maxResultBytes: Int? = nil) throws {
            log.add(.runStarted, claim: 1)
            log.add([RunMachine.stepStarted(1)], claim: 1)
            call = NewToolCall(
                callID: .generate(), providerCallID: "p", tool: "t", target: target, arguments: RawJSON("{\"a\":1}"), device: nil,
                timeoutSeconds: 45, maxResultBytes: maxResultBytes, countedRules: ["r"],
                approval: asks ? ApprovalRequest(expiresSeconds: 60, rules: ["ask"], now: LogBuilder.time) : nil)
            let transition = RunMachine.finishStep(
                try log.fold(),
                message: RunEventData.assistantMessage(
                    step: 1, text: "", reasoning: "",
                    calls: [RequestedCall(callID: call.callID, providerCallID: "p", name: "t", arguments: "{\"a\":1}")],
                    usage: TokenUsage(), finishReason: "stop"),
                calls: [.admitted(call)], usage: TokenUsage(), finishReason: "stop", maxSteps: 5)
            log.add(transition.events, claim: 1)
            self.transition = transition
        }

        let transition: RunTransition

        func state() throws -> RunState { try log.fold() }
        mutating func add(_ transition: RunTransition?) throws -> RunTransition {
            let transition = try #require(transition)
            log.add(transition.events, claim: 0)
            return transition
        }
    }

    @Test(arguments: ToolTarget.allCases)
    func `a call that wants a person waits, whatever its target, and the run rests`(target: ToolTarget) throws {
        let fixture = try Fixture(target)
        #expect(fixture.transition.status == .waitingTool)
        #expect(fixture.transition.held.map(\.callID) == [fixture.call.callID])
        let state = try fixture.state()
        let call = try #require(state.call(fixture.call.callID))
        #expect(call.isAwaitingApproval && !call.isApproved)
        #expect(fixture.transition.held.first?.callHash == call.callHash)
        #expect(RunMachine.dispatch(call.call.callID, to: .generate(), in: state) == nil)
        // Nobody was asked, so nobody's answer counts.
        #expect(RunMachine.record(.result(.null, source: .browser), of: call.call.callID, in: state) == nil)
        #expect(state.callsByRule == ["r": 1])
    }

    @Test func `a held call is requested without arguments; the question about it and its approval have them`() throws {
        var fixture = try Fixture(.browser)
        func data(_ type: RunEventType) throws -> JSONNode {
            try #require(try fixture.log.events.first { $0.type == type }?.data.document().root)
        }
        let requested = try data(.toolCallRequested)
        #expect(requested["held"]?.bool == true && requested["args"] == nil)
        #expect(try data(.toolCallApprovalRequired)["args"]?.rawJSON.string == "{\"a\":1}")
        _ = try fixture.add(RunMachine.approve(fixture.call.callID, by: "key:k", in: try fixture.state()))
        let approved = try data(.toolCallApproved)
        #expect(approved["args"]?.rawJSON.string == "{\"a\":1}" && approved["tool"]?.string == "t")
        #expect(approved["target"]?.string == "browser" && approved["timeoutSeconds"]?.int == 45)
        let free = try Fixture(.browser, asks: false).log.events.first { $0.type == .toolCallRequested }?.data.document().root
        #expect(free?["held"] == nil && free?["args"]?.rawJSON.string == "{\"a\":1}")
    }

    @Test func `a log in which a held call was requested with its arguments reads on`() throws {
        let fixture = try Fixture(.browser)
        var log = fixture.log
        log.events = log.events.map { event in
            var text = event.data.string
            if event.type == .toolCallRequested { text = text.replacing(#""held":true"#, with: #""args":{"a":1}"#) }
            if event.type == .toolCallApprovalRequired { text = text.replacing(#""args":{"a":1},"#, with: "") }
            return RunEvent(
                seq: event.seq, type: event.type, time: event.time, claimNumber: event.claimNumber, data: RawJSON(trusted: Array(text.utf8))
            )
        }
        let state = try log.fold()
        #expect(state.call(fixture.call.callID)?.callHash == fixture.transition.held.first?.callHash)
        #expect(RunMachine.approve(fixture.call.callID, by: "key:k", in: state) != nil)
    }

    @Test(arguments: ToolTarget.allCases)
    func `an approval lets the call go where it is carried out`(target: ToolTarget) throws {
        var fixture = try Fixture(target)
        let approval = try fixture.add(RunMachine.approve(fixture.call.callID, by: "key:k", in: try fixture.state()))
        #expect(approval.settled.map(\.callID) == [fixture.call.callID])
        #expect(approval.settled.map(\.status) == [.approved] && approval.settled.map(\.timeoutSeconds) == [45])
        let state = try fixture.state()
        #expect(state.call(fixture.call.callID)?.isApproved == true)
        if target == .server {
            #expect(approval.status == .queued && approval.resumeReason == "approval")
            guard case .runServerCalls(let calls) = RunMachine.next(state, maxSteps: 5) else { return #expect(Bool(false)) }
            #expect(calls.map(\.call.callID) == [fixture.call.callID])
        } else {
            #expect(approval.status == nil && state.status == .waitingTool)
        }
        if target == .device { #expect(RunMachine.dispatch(fixture.call.callID, to: .generate(), in: state) != nil) }
        // Once.
        #expect(RunMachine.approve(fixture.call.callID, by: "key:k", in: state) == nil)
        #expect(RunMachine.denyApproval(fixture.call.callID, message: "no", in: state) == nil)
        #expect(
            RunMachine.requireApproval(
                ApprovalRequest(expiresSeconds: 1, rules: [], now: LogBuilder.time), of: fixture.call.callID, in: state) == nil)
    }

    @Test func `an approval that runs out is a denial, a call that runs out after its approval has expired`() throws {
        var late = try Fixture(.browser)
        let expiry = try late.add(RunMachine.expire(late.call.callID, in: try late.state()))
        #expect(expiry.events.first?.type == .toolCallDenied)
        #expect(try expiry.events.first?.data.document().root["reason"]?.string == "approval_expired")
        #expect(expiry.settled.map(\.status) == [.expired] && expiry.resumeReason == "approval")
        var approved = try Fixture(.browser)
        _ = try approved.add(RunMachine.approve(approved.call.callID, by: "key:k", in: try approved.state()))
        let over = try approved.add(RunMachine.expire(approved.call.callID, in: try approved.state()))
        #expect(over.events.first?.type == .toolCallExpired && over.settled.isEmpty)
    }

    @Test func `a refusal goes back to the model and the run goes on`() throws {
        var fixture = try Fixture(.server)
        let denial = try fixture.add(RunMachine.denyApproval(fixture.call.callID, message: "not today", in: try fixture.state()))
        #expect(denial.status == .queued && denial.resumeReason == "approval" && denial.settled.map(\.status) == [.denied])
        guard case .toolResult(_, _, let content, true)? = try fixture.state().conversation.last else { return #expect(Bool(false)) }
        #expect(content.contains("approval_denied") && content.contains("not today"))
    }

    @Test func `a cancel voids it`() throws {
        let fixture = try Fixture(.browser)
        let cancel = try #require(RunMachine.requestCancel(try fixture.state(), reason: nil))
        #expect(cancel.settled.map(\.status) == [.canceled])
        #expect(cancel.outcomes.map(\.callID) == [fixture.call.callID])
    }

    @Test func `an approval is of one exact call: other arguments, another tool, target or id have another hash`() throws {
        // The log is the only place from which a call is carried out, and it never changes; this is what would be found if it did.
        let fixture = try Fixture(.server)
        func hash(_ change: (String) -> String) throws -> String? {
            var log = fixture.log
            log.events = log.events.map { event in
                RunEvent(
                    seq: event.seq, type: event.type, time: event.time, claimNumber: event.claimNumber,
                    data: [.toolCallRequested, .toolCallApprovalRequired, .assistantMessage].contains(event.type)
                        ? RawJSON(trusted: Array(change(event.data.string).utf8)) : event.data)
            }
            let state = try log.fold()
            let call = try #require(state.calls.first)
            // An approval of the first call does not approve this one.
            if call.callHash != fixture.transition.held.first?.callHash {
                #expect(RunMachine.approve(call.call.callID, by: "key:k", in: state) == nil)
            }
            return call.callHash
        }
        let own = try hash { $0 }
        #expect(own == fixture.transition.held.first?.callHash)
        #expect(try hash { $0.replacing(#""args":{"a":1}"#, with: #""args":{"a":2}"#) } != own)
        #expect(try hash { $0.replacing(#""args":{"a":1}"#, with: #""args":{"a": 1}"#) } != own)
        #expect(try hash { $0.replacing(#""target":"server""#, with: #""target":"device""#) } != own)
        // Arguments that somebody put where a held call has none are not those that were asked about.
        #expect(try hash { $0.replacing(#""held":true"#, with: #""args":{"a":3}"#) } == own)
        #expect(try hash { $0.replacing(#""name":"t""#, with: #""name":"u""#) } != own)
    }

    @Test func `policy that changed before dispatch asks a person then`() throws {
        var fixture = try Fixture(.server, asks: false)
        let request = ApprovalRequest(expiresSeconds: 60, rules: ["new"], now: LogBuilder.time)
        let held = try fixture.add(RunMachine.requireApproval(request, of: fixture.call.callID, in: try fixture.state()))
        #expect(held.held.map(\.rules) == [["new"]])
        guard case .end(let rest) = RunMachine.next(try fixture.state(), maxSteps: 5) else { return #expect(Bool(false)) }
        #expect(rest.status == .waitingTool)
    }

    // MARK: The size of results

    @Test(arguments: [256, 300, 1000, 4096])
    func `a result over its bound is cut with a marker, and stays JSON`(maxBytes: Int) throws {
        let texts = [
            String(repeating: "a", count: 9000), String(repeating: "\"\\\n\u{1}", count: 3000), String(repeating: "👩‍👩‍👧‍👦é", count: 900),
            #"{"k":"# + String(repeating: "[", count: 5000),
        ]
        for text in texts {
            for result in [RawJSON.object { $0.field("text", string: text) }, RawJSON.array { $0.string(text) }] {
                let bounded = ToolOutcome.result(result, source: .device).bounded(to: maxBytes)
                let json = try #require(bounded.result)
                #expect(json.bytes.count <= maxBytes)
                let root = try json.document().root
                #expect(root["truncated"]?.bool == true && root["bytes"]?.int == result.bytes.count)
                #expect(root["maxBytes"]?.int == maxBytes)
            }
        }
    }

    @Test func `a result within its bound, and an error, are left as they are`() throws {
        let small = ToolOutcome.result(RawJSON("{\"a\":1}"), source: .server)
        #expect(small.bounded(to: 7) == small && small.bounded(to: nil) == small)
        let failed = ToolOutcome.failed(ToolError(code: "c", message: String(repeating: "x", count: 999)), source: .server)
        #expect(failed.bounded(to: 256) == failed)
        let atBound = ToolOutcome.result(ResultCut.string(String(repeating: "x", count: Limits.maxToolResultBytes - 2)), source: .browser)
        #expect(atBound.bounded(to: nil) == atBound && atBound.bounded(to: .max) == atBound, "the gateway's own bound")
        let over = ToolOutcome.result(ResultCut.string(String(repeating: "x", count: Limits.maxToolResultBytes - 1)), source: .browser)
        let root = try #require(try over.bounded(to: nil).result?.document().root)
        #expect(root["maxBytes"]?.int == Limits.maxToolResultBytes && root["bytes"]?.int == Limits.maxToolResultBytes + 1)
        #expect(root.raw.count <= Limits.maxToolResultBytes && root["head"]?.string?.allSatisfy { $0 == "x" } == true)
        let wordy = ToolError(code: "c", message: String(repeating: "é", count: Limits.maxToolErrorBytes))
        let shortened = try #require(ToolOutcome.failed(wordy, source: .device).bounded(to: nil).error)
        #expect(shortened.code == "c" && shortened.message.hasSuffix("é […]"))
        #expect((Limits.maxToolErrorBytes - 2...Limits.maxToolErrorBytes).contains(shortened.message.utf8.count))
        // What was not read to its end has no known size.
        let part = try #require(try ToolOutcome.part("x", maxBytes: 300, source: .server).result?.document().root)
        #expect(part.rawJSON.string == #"{"truncated":true,"maxBytes":300,"head":"x"}"#)
        // The machine applies it on the one road by which outcomes come.
        var fixture = try Fixture(.browser, asks: false, maxResultBytes: 256)
        let text = RawJSON.object { $0.field("x", string: String(repeating: "x", count: 5000)) }
        let record = try fixture.add(RunMachine.record(.result(text, source: .browser), of: fixture.call.callID, in: try fixture.state()))
        #expect(record.outcomes.first?.outcome.result.map { $0.bytes.count <= 256 } == true)
        #expect(record.events.first.map { $0.data.bytes.count < 512 } == true)
    }
}
