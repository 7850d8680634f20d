import JSON
import Testing

struct ObjectReaderTests {
    private func violation(_ text: String, _ read: (inout JSONObjectReader) throws -> Void) throws -> JSONViolation? {
        let node = try parse(text)
        do {
            var reader = try JSONObjectReader(node, at: "/config")
            try read(&reader)
            try reader.finish()
            return nil
        } catch let violation as JSONViolation {
            return violation
        }
    }

    @Test func `an object that is as expected is read`() throws {
        let node = try parse(
            #"{"s":"x","i":5,"d":1.5,"b":true,"tags":["a","b"],"o":{"k":1},"any":null,"gone":null,"optional":"here"}"#)
        var reader = try JSONObjectReader(node)
        #expect(reader.has("any"))
        #expect(!reader.has("nothing"))
        #expect(try reader.string("s") == "x")
        #expect(try reader.int("i", in: 1...50) == 5)
        #expect(try reader.double("d", in: 0...2) == 1.5)
        #expect(try reader.bool("b"))
        #expect(try reader.strings("tags") == ["a", "b"])
        var inner = try reader.object("o")
        #expect(inner.pointer == "/o")
        #expect(try inner.optionalInt("k", in: 0...1) == 1)
        try inner.finish()
        #expect(try reader.node("any").isNull)
        #expect(try reader.optionalNode("gone") == nil)
        #expect(try reader.optionalString("optional") == "here")
        #expect(try reader.optionalString("absent") == nil)
        #expect(try reader.optionalInt("gone", in: 1...2) == nil)
        #expect(try reader.optionalDouble("gone", in: 1...2) == nil)
        #expect(try reader.optionalBool("gone") == nil)
        #expect(try reader.optionalStrings("gone") == nil)
        #expect(try reader.optionalObject("gone") == nil)
        try reader.finish()
    }

    @Test func `a violation names the place and teaches what is wanted`() throws {
        let cases: [(String, String, String, (inout JSONObjectReader) throws -> Void)] = [
            ("{}", "/config/n", "is required", { _ = try $0.int("n", in: 1...50) }),
            (#"{"n":0}"#, "/config/n", "must be an integer from 1 to 50", { _ = try $0.int("n", in: 1...50) }),
            (#"{"n":1.0}"#, "/config/n", "must be an integer from 1 to 50", { _ = try $0.optionalInt("n", in: 1...50) }),
            (#"{"n":"1"}"#, "/config/n", "must be an integer of at least 0", { _ = try $0.int("n", in: 0...Int.max) }),
            (#"{"n":9}"#, "/config/n", "must be an integer of at most 8", { _ = try $0.int("n", in: Int.min...8) }),
            (#"{"n":null}"#, "/config/n", "must be an integer", { _ = try $0.int("n", in: Int.min...Int.max) }),
            (#"{"t":2.5}"#, "/config/t", "must be a number from 0 to 2", { _ = try $0.double("t", in: 0...2) }),
            (#"{"t":1e999}"#, "/config/t", "must be a number from -0.5 to 2", { _ = try $0.optionalDouble("t", in: -0.5...2) }),
            (#"{"s":1}"#, "/config/s", "must be a string", { _ = try $0.string("s") }),
            (#"{"s":"éé"}"#, "/config/s", "must be at most 3 bytes of UTF-8", { _ = try $0.optionalString("s", maxBytes: 3) }),
            (#"{"b":0}"#, "/config/b", "must be true or false", { _ = try $0.bool("b") }),
            (#"{"b":"true"}"#, "/config/b", "must be true or false", { _ = try $0.optionalBool("b") }),
            (#"{"l":"a"}"#, "/config/l", "must be an array of strings", { _ = try $0.strings("l") }),
            (#"{"l":["a",1]}"#, "/config/l/1", "must be a string", { _ = try $0.strings("l") }),
            (#"{"l":["a","bb"]}"#, "/config/l/1", "must be at most 1 bytes of UTF-8", { _ = try $0.strings("l", maxBytes: 1) }),
            (#"{"l":["a","b"]}"#, "/config/l", "must have at most 1 elements", { _ = try $0.optionalStrings("l", maxCount: 1) }),
            (#"{"o":[]}"#, "/config/o", "must be an object", { _ = try $0.object("o") }),
            (#"{"o":1}"#, "/config/o", "must be an object", { _ = try $0.optionalObject("o") }),
            (#"{"a":1,"c":1}"#, "/config/c", "unknown field; known fields: a, b", { _ = (try $0.node("a"), try $0.optionalNode("b")) }),
            (#"{"x/y~z":1}"#, "/config/x~1y~0z", "unknown field; there are no known fields", { _ in }),
        ]
        for (text, pointer, message, read) in cases {
            #expect(try violation(text, read) == JSONViolation(pointer: pointer, message: message), "\(text)")
        }
        #expect(throws: JSONViolation(pointer: "", message: "must be an object")) { try JSONObjectReader(try parse("[]")) }
    }

    @Test func `an overlong unknown name is not repeated in full`() throws {
        let name = String(repeating: "x", count: 10_000)
        let found = try #require(try violation("{\"\(name)\":1}") { _ in })
        #expect(found.pointer.utf8.count < 100)
    }
}
