import JSON
import Testing

struct WriterTests {
    @Test func `commas and colons come by themselves`() throws {
        let json = RawJSON.object { writer in
            writer.field("s", string: "x")
            writer.field("absent", stringIfPresent: nil)
            writer.field("present", stringIfPresent: "y")
            writer.field("n", int: -5)
            writer.field("u", int: UInt64.max)
            writer.field("min", int: Int64.min)
            writer.field("d", double: 0.5)
            writer.field("b", bool: false)
            writer.field("r", raw: RawJSON("[1,2]"))
            writer.key("list")
            writer.beginArray()
            writer.beginObject()
            writer.endObject()
            writer.null()
            writer.beginArray()
            writer.endArray()
            writer.string("")
            writer.raw(bytes: Array("7".utf8))
            writer.endArray()
            writer.key("empty")
            writer.beginObject()
            writer.endObject()
        }
        #expect(
            json.string
                == #"{"s":"x","present":"y","n":-5,"u":18446744073709551615,"min":-9223372036854775808,"d":0.5,"b":false,"r":[1,2],"list":[{},null,[],"",7],"empty":{}}"#
        )
        #expect(throws: Never.self) { try RawJSON(validating: json.bytes) }
        #expect(RawJSON.array { _ in }.string == "[]")
        #expect(RawJSON.emptyObject.string == "{}")
        #expect(try RawJSON.null.document().root.isNull)
    }

    @Test func `only what must be escaped is escaped`() {
        var bytes: [UInt8] = []
        JSONWriter.appendEscaped("\"\\/\u{8}\u{c}\n\r\t\u{0}\u{1f}\u{7f}é😀 long enough for a word at a time", into: &bytes)
        #expect(
            String(decoding: bytes, as: UTF8.self)
                == #""\"\\/\b\f\n\r\t\u0000\u001f"# + "\u{7f}é😀 long enough for a word at a time\"")
    }

    @Test func `what no JSON number can say is null`() {
        var writer = JSONWriter()
        writer.beginArray()
        writer.double(.nan)
        writer.double(.infinity)
        writer.double(-0.0)
        writer.endArray()
        #expect(writer.bytes == Array("[null,null,0]".utf8))
    }

    @Test func `validated text is kept byte for byte`() throws {
        let text = Array(" { \"b\" : 1.00 , \"a\" : \"\\u0041\" } ".utf8)
        let json = try RawJSON(validating: text)
        #expect(json.bytes == text)
        #expect(try json.document().root["a"]?.string == "A")
        #expect(throws: JSONError.self) { try RawJSON(validating: Array("{}x".utf8)) }
    }
}
