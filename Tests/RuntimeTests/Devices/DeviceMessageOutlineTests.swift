import JSON
import Testing

@testable import Runtime

/// What a message that is thrown away was about.
struct DeviceMessageOutlineTests {
    private static let call = "0198c1f2-1f00-7c10-8f3e-0d5a4b6c7001"

    /// Read in pieces of every small size, since bytes come as they like.
    private func call(of message: String) -> String? {
        let bytes = Array(message.utf8)
        let found = [1, 2, 3, 7, 64, bytes.count].map { size -> String? in
            var outline = DeviceMessageOutline()
            for start in stride(from: 0, to: bytes.count, by: max(1, size)) { outline.read(bytes[start..<min(start + size, bytes.count)]) }
            #expect(outline.byteCount == bytes.count)
            return outline.callID
        }
        #expect(Set(found).count == 1, "\(found)")
        return found.first ?? nil
    }

    @Test(arguments: [
        #"{"type":"tool.result","callId":"C","result":"xxx"}"#,
        #"{"result":[{"callId":"no","type":"no"}],"callId":"C","type":"tool.result"}"#,
        #"{"type":"tool.result","callId":"C","result":"never ends \" \\"#, #"{"callId":"C","result":"the type is to come"#,
        "\n{ \"type\" :\t\"tool.result\" , \"result\":{\"a\":[\"}\",\"\\\"\"]} ,\r\"callId\" : \"C\" }",
        #"{"a":",","b":":","callId":"C","type":"tool.result"}"#,
    ])
    func `the call is found wherever the message names it`(_ message: String) {
        #expect(call(of: message.replacing("\"C\"", with: "\"\(Self.call)\"")) == Self.call)
    }

    @Test(arguments: [
        #"{"type":"ping","callId":"C"}"#, #"{"type":"tool.result","result":{"callId":"C"}}"#, #"["callId","C"]"#,
        #"{"a":"callId","b":"C"}"#,
        #"{"type":"tool.result","call\u0049d":"C"}"#, #"{"type":"tool.result","callId":["C"]}"#, #"{"type":"tool.result","callId":"Cx\n"}"#,
        "",
        #"\"callId":"C""#, #"{"type":"tool.result","callId":"\#(String(repeating: "C", count: 65))"}"#, "}}}}{{{{",
    ])
    func `what does not name a call has none`(_ message: String) {
        #expect(call(of: message) == nil)
    }

    @Test func `of two calls the first counts, and garbage does no harm`() {
        #expect(call(of: #"{"type":"tool.result","callId":"a","callId":"b"}"#) == "a")
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            var outline = DeviceMessageOutline()
            outline.read((0..<512).map { _ in UInt8.random(in: 0...255, using: &generator) })
            #expect(outline.byteCount == 512)
        }
    }
}
