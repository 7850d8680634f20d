import Domain
import HsafaClient
import JSON
import TestSupport
import Testing

/// Answers of devices that break their schema, or are no JSON: the call they are about does not wait for its deadline.
@Suite(.timeLimit(.minutes(5)))
struct MalformedAnswerTests {
    private static let deep = String(repeating: "[", count: Limits.maxJSONDepth) + String(repeating: "]", count: Limits.maxJSONDepth)

    /// What stands behind `callId`, and what the sentence about it names.
    private static let answers: [(rest: String, names: String)] = [
        (#""error":{"code":"gone","message":"No such file.","retryable":false}"#, "/error/retryable"),
        (#""error":{"code":"gone"}"#, "/error/message"),
        (#""error":{"code":7,"message":"No."}"#, "/error/code"),
        (#""error":null"#, "/error"),
        (#""error":["No."]"#, "/error"),
        (#""result":1,"error":"No.""#, "either result or error"),
        (#""note":"nothing else""#, "either result or error"),
        (#""result":"fine","tookMilliseconds":12"#, "/tookMilliseconds"),
        (#""result":01"#, "not valid JSON"),
        (#""result":\#(deep)"#, "not valid JSON"),
        (#""result":{"a":1,"a":2}"#, "not valid JSON"),
        (#""result":"never ends"#, "not valid JSON"),
    ]

    @Test func `an answer that cannot be used fails its call at once, and call, model and device hear which field it was`() async throws {
        let tenant = try await TestTenant.make()
        try await tenant.device().connected(tenant.gateway) { socket async throws in
            for (index, answer) in Self.answers.enumerated() {
                let run = try await tenant.deviceRun("asker-\(index)")
                let call = try #require(try await socket.next("tool.call.request")["callId"]?.string)
                let message = #"{"type":"tool.result","callId":"\#(call)",\#(answer.rest)}"#
                try await socket.send(message, breaking: "the answer to it is what is tested")
                let error = try await socket.next("error")
                #expect(error["code"]?.string == "malformed_result" && error["retryable"]?.bool == false, "\(answer.rest)")
                #expect(error["message"]?.string?.contains(answer.names) == true, "\(error.rawJSON.string)")
                #expect(try await socket.isApplied(), "\(answer.rest)")
                let outcome = try await tenant.outcome(run)
                #expect(outcome["error"]?["code"]?.string == "malformed_result" && outcome["source"]?.string == "device")
                #expect(outcome["error"]?["message"]?.string?.contains(answer.names) == true, "\(outcome.rawJSON.string)")
                // What it answers after that is late, and the socket lives: more of these than it has violations.
                try await socket.answer(call)
                #expect(try await !socket.isApplied())
            }
        }
    }

    @Test func `a message that names the call and is no answer to it leaves it alone`() async throws {
        let tenant = try await TestTenant.make()
        try await tenant.device().connected(tenant.gateway) { socket async throws in
            let run = try await tenant.deviceRun()
            let call = try #require(try await socket.next("tool.call.request")["callId"]?.string)
            let messages = [
                (#"{"type":"tool.progress","callId":"\#(call)","percent":50}"#, "unknown_type"),
                (#"{"type":"ping","callId":"\#(call)"}"#, "malformed_frame"),
                (#"{"type":"tool.result","result":{"callId":"\#(call)"},"more":1}"#, "malformed_frame"),
                (#"{"type":"tool.result","callId":["\#(call)"],"result":1}"#, "malformed_frame"),
            ]
            for (message, code) in messages {
                try await socket.send(message, breaking: "the error is what is tested")
                #expect(try await socket.next("error")["code"]?.string == code, "\(message)")
            }
            try await socket.answer(call, #""after all""#)
            #expect(try await socket.isApplied())
            #expect(try await tenant.outcome(run)["result"]?.string == "after all")
        }
    }

    @Test func `a malformed answer ends no call of another device, nor one before registration`() async throws {
        let tenant = try await TestTenant.make()
        let (asked, other) = (try await tenant.device("asked"), try await tenant.device("other"))
        try await asked.connected(tenant.gateway) { socket async throws in
            let run = try await tenant.deviceRun()
            let call = try #require(try await socket.next("tool.call.request")["callId"]?.string)
            let broken = #"{"type":"tool.result","callId":"\#(call)","error":{"why":1}}"#
            try await other.connected(tenant.gateway) { intruder async throws in
                try await intruder.send(broken, breaking: "whose call it is, is what is tested")
                #expect(try await intruder.next("error")["code"]?.string == "not_your_call")
                #expect(try await !intruder.isApplied())
            }
            try await RawSocket.open(tenant.gateway) { nobody async throws in
                try await nobody.send(broken, breaking: "that it is nobody's is what is tested")
                #expect(try await nobody.next("error")["code"]?.string == "malformed_frame")
            }
            try await socket.answer(call, #""right""#)
            #expect(try await socket.isApplied())
            #expect(try await tenant.outcome(run)["result"]?.string == "right")
        }
    }
}
