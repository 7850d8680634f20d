import JSON
import Testing

struct ParsingTests {
    @Test func `members, elements and their source text are found`() throws {
        let text = #" {"a": [1, -2.5e1 ,"x\u0041\ud83d\ude00\n"], "b":{"c":null,"d":true}, "e" : { } , "f":[ ]} "#
        let root = try parse(text)
        #expect(root.kind == .object)
        #expect(root.count == 4)
        #expect(root["a"]?.count == 3)
        #expect(root["a"]?[0]?.int == 1)
        #expect(root["a"]?[1]?.double == -25)
        #expect(root["a"]?[1]?.int == nil)
        #expect(root["a"]?[2]?.string == "xA😀\n")
        #expect(root["a"]?[3] == nil)
        #expect(root["a"]?[-1] == nil)
        #expect(root["b"]?["c"]?.isNull == true)
        #expect(root["b"]?["d"]?.bool == true)
        #expect(root["b"]?["x"] == nil)
        #expect(root["e"]?.kind == .object)
        #expect(root["f"]?.kind == .array)
        #expect(root["b"]?.rawJSON.string == #"{"c":null,"d":true}"#)
        #expect(root["e"].map { Array($0.raw) } == bytes("{ }"))
        #expect(root.members.map(\.key) == ["a", "b", "e", "f"])
        #expect(root["a"]?.elements.map(\.kind) == [.number, .number, .string])
        #expect(root.elements.map(\.kind).isEmpty)
        #expect(root["a"]?.members.map(\.key).isEmpty == true)
        #expect(root.rawJSON.string == text.trimmingSpace)
    }

    @Test func `an escaped key is found by its characters`() throws {
        let root = try parse(#"{"\u0061\/b":1,"é":2,"":3}"#)
        #expect(root["a/b"]?.int == 1)
        #expect(root["é"]?.int == 2)
        #expect(root[""]?.int == 3)
        // The same letter in two code points is another key.
        #expect(root["e\u{301}"] == nil)
    }

    @Test(arguments: [
        ("0", 0), ("-0", 0), ("9223372036854775807", Int.max), ("-9223372036854775808", Int.min), ("42", 42),
    ])
    func `an integer is read exactly`(text: String, value: Int) throws {
        #expect(try parse(text).int == value)
    }

    @Test(arguments: ["1.0", "1e2", "9223372036854775808", "-9223372036854775809", "100000000000000000000", "true", "\"1\""])
    func `what is not written as an integer that fits is no int`(text: String) throws {
        #expect(try parse(text).int == nil)
    }

    @Test(arguments: [
        ("0.1", 0.1), ("-0.0", -0.0), ("123456789012345678", 123_456_789_012_345_680), ("1e-400", 0), ("4.35", 4.35),
        ("2.2250738585072011e-308", Double(bitPattern: 0x000F_FFFF_FFFF_FFFF)), ("1.7976931348623157e308", .greatestFiniteMagnitude),
        ("5e-324", .leastNonzeroMagnitude), ("0.000001", 1e-6), ("9007199254740993", 9_007_199_254_740_992), ("1E+2", 100),
    ])
    func `a number is read as the nearest double`(text: String, value: Double) throws {
        let double = try #require(try parse(text).double)
        #expect(double == value)
        #expect(double.sign == value.sign)
    }

    @Test(arguments: ["1e400", "-1e400"])
    func `a number beyond a finite double is valid JSON but no double`(text: String) throws {
        #expect(try parse(text).kind == .number)
        #expect(try parse(text).double == nil)
    }

    @Test(arguments: [
        (#"{"a":1,"a":2}"#, 7), (#"{"a":1,"\u0061":2}"#, 7), (#"{"\u0061":1,"a":2}"#, 12), (#"[{"":1,"b":{},"":2}]"#, 14),
    ])
    func `a repeated key is refused where it appears again`(text: String, offset: Int) throws {
        let error = try #require(refusal(text))
        #expect(error.offset == offset)
        guard case .duplicateKey = error.reason else {
            Issue.record("not about the key: \(error)")
            return
        }
        let node = try parse(text, limits: JSONLimits(rejectsDuplicateKeys: false))
        #expect(node.kind == .object ? node["a"]?.int == 2 : true)
    }

    @Test func `a repeated key among thousands is refused, and thousands of different ones are not`() throws {
        let members = (0..<5_000).map { "\"key\($0)\":{\"n\":\($0)}" }.joined(separator: ",")
        #expect(try parse("{\(members)}")["key4999"]?["n"]?.int == 4999)
        #expect(refusal("{\(members),\"key\\u0031\":1}")?.reason == .duplicateKey("key1"))
        #expect(refusal("{\"key2500\":0,\(members)}")?.reason == .duplicateKey("key2500"))
    }

    @Test func `depth is counted and needs no stack`() throws {
        let deep = { (levels: Int) in String(repeating: "[", count: levels) + String(repeating: "]", count: levels) }
        #expect(refusal(deep(64)) == nil)
        #expect(refusal(deep(65)) == JSONError(.tooDeep(limit: 64), at: 64, in: String(repeating: "/0", count: 64)))
        let node = try parse(deep(100_000), limits: JSONLimits(maxDepth: 100_000))
        #expect(try node.canonical().count == 200_000)
        #expect(refusal("[[],[],[]]", limits: JSONLimits(maxDepth: 2)) == nil)
    }

    @Test func `a text larger than allowed is refused before it is read`() {
        #expect(refusal("[1,2,3]", limits: JSONLimits(maxBytes: 6)) == JSONError(.tooLarge(limit: 6), at: 6))
        #expect(refusal("[1,2,3]", limits: JSONLimits(maxBytes: 7)) == nil)
    }

    @Test(arguments: [
        ("", "expected a value, found the end of the text at byte 0"),
        ("  ", "expected a value, found the end of the text at byte 2"),
        ("{\"a\" 1}", "expected ':', found '1' at byte 5"),
        ("[1 2]", "expected ',' or ']', found '2' at byte 3"),
        ("[1,]", "expected a value, found ']' at byte 3"),
        ("{\"a\":1,}", "expected a string as key, found '}' at byte 7"),
        ("{a:1}", "expected a string as key or '}', found 'a' at byte 1"),
        ("{\"a\":1]", "expected ',' or '}', found ']' at byte 6"),
        ("tru", "expected 'true', found 't' at byte 0"),
        ("01", "a number must not start with a superfluous 0 at byte 0"),
        ("-", "expected a digit, found the end of the text at byte 1"),
        ("1.e5", "expected a digit, found 'e' at byte 2"),
        ("1 1", "expected the end of the text, found '1' at byte 2"),
        ("\"abc", "expected '\"' to end the string, found the end of the text at byte 4"),
        ("\"a\u{1}\"", "a control character must be escaped in a string, found byte 0x01 at byte 2"),
        ("\u{FEFF}{}", "a byte order mark is not allowed at byte 0"),
        ("[\u{FEFF}]", "expected a value, found byte 0xEF at byte 1"),
        (#""\ud800""#, "a \\u surrogate without its other half at byte 1"),
        (#""\ud800\u0041""#, "a \\u surrogate without its other half at byte 1"),
        (#""xx\udc00""#, "a \\u surrogate without its other half at byte 3"),
    ])
    func `a refusal says what was expected and where`(text: String, message: String) throws {
        #expect(refusal(text)?.description == message)
    }

    @Test func `a refusal's line and column can be told`() throws {
        let text = "{\n  \"a\": 1,\n  \"b\": ?\n}"
        let error = try #require(refusal(text))
        let position = error.position(in: bytes(text))
        #expect(position == (3, 8))
        #expect(JSONError(.invalidUTF8, at: 0).position(in: []) == (1, 1))
    }

    @Test(
        arguments: [
            [0x80], [0xC0, 0xAF], [0xC1, 0xBF], [0xC3], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xEF, 0xBF], [0xF0, 0x80, 0x80, 0x80],
            [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFF], [0xE2, 0x82, 0x22], [0xF0, 0x9F, 0x98, 0x22],
        ] as [[UInt8]])
    func `ill-formed UTF-8 is refused wherever it stands`(sequence: [UInt8]) {
        for padding in 0..<20 {
            let text = bytes("\"" + String(repeating: "x", count: padding))
            let expected = JSONError(.invalidUTF8, at: text.count)
            #expect(throws: expected) { try RawJSON(validating: text + sequence + bytes("\"")) }
            #expect(throws: expected) { try RawJSON(validating: text + sequence) }
        }
    }

    @Test func `every scalar passes a string, plain and escaped`() throws {
        for value in stride(from: UInt32(1), to: 0x110000, by: 97) {
            guard let scalar = Unicode.Scalar(value) else { continue }
            let text = "abcdefg" + String(scalar) + "h"
            var writer = JSONWriter()
            writer.string(text)
            #expect(try JSONDocument(parsing: writer.bytes).root.string == text)
            let units = String(scalar).utf16.map {
                "\\u" + String(repeating: "0", count: 4 - String($0, radix: 16).count) + String($0, radix: 16)
            }
            #expect(try parse("\"\(units.joined())\"").string == String(scalar))
        }
    }
}

extension String {
    fileprivate var trimmingSpace: String {
        String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
}
