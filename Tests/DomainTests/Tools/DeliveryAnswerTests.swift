import Domain
import JSON
import Testing

struct DeliveryAnswerTests {
    private func read(_ status: Int, _ body: String, isCut: Bool = false) -> DeliveryAnswer {
        .reading(status: status, body: Array(body.utf8), isCut: isCut)
    }

    @Test(arguments: [
        (200, #"{ "a": 1 }"#, #"{"a":1}"#), (201, "[1]", "[1]"), (200, "", "null"), (200, "text", #""text""#), (204, "ignored", "null"),
        (200, #"{"error":null}"#, #"{"error":null}"#), (200, #"{"error":"x","more":1}"#, #"{"error":"x","more":1}"#),
        (200, #"{"a":"#, #""{\"a\":""#), (200, #"{"a":1,"a":2}"#, #""{\"a\":1,\"a\":2}""#),
    ])
    func `an answer that succeeds is the result, whatever it is`(_ status: Int, _ body: String, _ result: String) {
        #expect(read(status, body) == .outcome(.result(RawJSON(trusted: Array(result.utf8)), source: .external)))
    }

    @Test(arguments: [
        (200, #"{"error":{"code":"declined","message":"No."}}"#, "declined", "No."), (200, #"{"error":"No."}"#, "tool_failed", "No."),
        (200, #"{"error":{"odd":1}}"#, "tool_failed", #"{"odd":1}"#), (200, #"{"error":7}"#, "tool_failed", "7"),
        (410, "", "external_gone", "The tool's system answered 410: it is there no more."),
        (404, "no such thing", "http_404", "The tool's system answered 404: no such thing"),
        (400, "", "http_400", "The tool's system answered 400."),
        (302, "", "redirect_refused", "The tool's system answered 302; redirects are not followed."),
        (200, "\u{0}", "not_text", "The tool's system answered with something that is no text."),
    ])
    func `an error is the tool's, and what would come again is final`(_ status: Int, _ body: String, _ code: String, _ message: String) {
        #expect(read(status, body) == .outcome(.failed(ToolError(code: code, message: message), source: .external)))
    }

    @Test func `what may pass is tried again, and a promise is one`() {
        #expect(read(202, "anything") == .accepted)
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            #expect(read(status, "") == .retry("The tool's system answered \(status)."))
        }
    }

    @Test func `what was cut says so, and fits`() throws {
        let long = #"{"a":""# + String(repeating: "\u{1}", count: Limits.maxToolResultBytes)
        guard case .outcome(.result(let json, .external)) = read(200, long, isCut: true) else {
            Issue.record("no result")
            return
        }
        #expect(json.bytes.count <= Limits.maxToolResultBytes)
        let root = try json.document().root
        #expect(root["truncated"]?.bool == true && root["bytes"] == nil && root["head"]?.string?.hasPrefix(#"{"a":""#) == true)
        let deep = String(repeating: "[", count: 5000) + String(repeating: "]", count: 5000)
        #expect(read(200, deep) == .outcome(.result(ResultCut.string(deep), source: .external)))
    }
}
