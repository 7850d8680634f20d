import JSON
import JSONSchema
import Testing

struct SchemaTests {
    private func violations(_ schema: StaticString, _ instance: StaticString, limits: JSONSchemaLimits = .default) throws -> [String] {
        try JSONSchema(RawJSON(schema), limits: limits).violations(of: try RawJSON(instance).document().root).map(\.description)
    }

    private func fault(_ schema: StaticString) -> JSONSchemaError? {
        do {
            _ = try JSONSchema(RawJSON(schema))
            return nil
        } catch { return error }
    }

    @Test func `what is wrong is named with its place and what would be right`() throws {
        let schema: StaticString = """
            {"type": "object", "required": ["path", "mode"], "additionalProperties": false,
             "properties": {"path": {"type": "string", "maxLength": 3}, "mode": {"enum": ["r", "w"]}, "lines": {"items": {"minimum": 0.5}},
                            "a/b~": {"type": ["null", "integer"]}}}
            """
        #expect(try violations(schema, #"{"path": "abc", "mode": "r", "a/b~": 4.0}"#) == [])
        #expect(
            try violations(schema, #"{"path": "abcd", "lines": [1, 0, "x"], "more": 1, "a/b~": 1.5}"#).sorted() == [
                "/a~1b~0: must be null or integer", "/lines/1: must be at least 0.5", "/mode: is required", "/more: is not allowed here",
                "/path: must be at most 3 characters long",
            ])
    }

    @Test func `a member is known by the bytes of its name`() throws {
        let schema: StaticString = #"{"properties":{"Key":{"const":1}},"additionalProperties":false}"#
        #expect(try violations(schema, #"{"Key":1}"#) == [])
        // U+212A is K to those who compare by equivalence.
        #expect(try violations(schema, "{\"\u{212A}ey\":1}").count == 1)
    }

    @Test func `a schema that is none is refused with its place`() {
        #expect(fault(#"{"properties": {"a": {"type": "text"}}}"#)?.pointer == "/properties/a/type")
        #expect(fault(#"{"items": [1]}"#)?.pointer == "/items")
        #expect(fault(#"{"minLength": -1}"#)?.pointer == "/minLength")
        #expect(fault(#"{"pattern": "("}"#)?.pointer == "/pattern")
        #expect(fault(##"{"$ref": "#/$defs/none"}"##)?.message.contains("not there") == true)
        #expect(fault(#"{"$ref": "http://169.254.169.254/latest"}"#)?.message.contains("nothing is fetched") == true)
        #expect(fault("3") != nil)
        #expect(fault("true") == nil)
    }

    /// The classic patterns of catastrophic backtracking.
    @Test(arguments: ["^(a+)+$", "^(a|aa)+$", "^(a|a?)+$", "(.*a){20}$", "^(([a-z])+.)+[A-Z]([a-z])+$"])
    func `a pattern that backtracks without end is cut off and counts as wrong`(source: String) throws {
        let text = String(repeating: "a", count: 5000) + "!"
        #expect(try Pattern(source).search(text) != .matches)
        let schema = try JSONSchema(RawJSON.object { $0.field("pattern", string: source) })
        let instance = RawJSON(trusted: Array("\"\(text)\"".utf8))
        #expect(try !schema.accepts(instance.document().root))
    }

    @Test func `a bound on matching answers undecided, and what is undecided is invalid also under not`() throws {
        let text = String(repeating: "a", count: 40) + "!"
        #expect(try Pattern("^(a+)+$").search(text) == .undecided)
        let schema = try JSONSchema(RawJSON(#"{"not": {"pattern": "^(a+)+$"}}"#))
        #expect(try !schema.accepts(RawJSON(trusted: Array("\"\(text)\"".utf8)).document().root))
    }

    @Test func `schemas that refer to themselves end at a bound`() throws {
        #expect(try violations(##"{"$ref": "#"}"##, "1") == ["takes too long to check against its schema; make it simpler"])
        #expect(try violations(##"{"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}"##, "1").count == 1)
        var limits = JSONSchemaLimits()
        limits.maxSteps = 50
        #expect(try violations(#"{"items": {"type": "integer"}}"#, "[1,2,3]", limits: limits).isEmpty)
        #expect(
            try violations(#"{"items": {"allOf": [true, true, true, true]}}"#, "[1,2,3,4,5,6,7,8,9,10,11,12]", limits: limits).count == 1)
    }

    @Test func `violations are bounded`() throws {
        let instance = RawJSON(trusted: Array("[\((0..<100).map(String.init).joined(separator: ","))]".utf8))
        let schema = try JSONSchema(RawJSON(#"{"items": {"type": "string"}}"#))
        #expect(try schema.violations(of: instance.document().root).count == JSONSchemaLimits.default.maxViolations)
    }

    @Test func `numbers are compared by value, however they are written`() throws {
        for (schema, instance, isValid) in [
            (#"{"const": 1}"#, "1.0", true), (#"{"const": 100}"#, "1e2", true), (#"{"enum": [0]}"#, "-0.0", true),
            (#"{"multipleOf": 0.01}"#, "19.99", true), (#"{"multipleOf": 0.01}"#, "19.995", false),
            (#"{"maximum": 9007199254740993}"#, "9007199254740994", false), (#"{"type": "integer"}"#, "1e400", true),
            (#"{"multipleOf": 7}"#, "1e300", false), (#"{"minimum": -0.5}"#, "-0.51", false),
            (#"{"uniqueItems": true}"#, "[1, 1.0]", false),
            (#"{"uniqueItems": true}"#, #"[{"a":1,"b":2},{"b":2,"a":1}]"#, false), (#"{"exclusiveMaximum": 3}"#, "3.0", false),
        ] {
            let schema = try JSONSchema(RawJSON(trusted: Array(schema.utf8)))
            let found = schema.accepts(try RawJSON(trusted: Array(instance.utf8)).document().root)
            #expect(found == isValid, "\(instance)")
        }
    }

    @Test func `a pattern means what ECMA-262 says`() throws {
        for (pattern, text, answer) in [
            ("^a$", "a\n", Pattern.Answer.differs), ("b", "abc", .matches), (#"^\d$"#, "٣", .differs), (#"^\u00e9$"#, "é", .matches),
            (#"^\p{Letter}+$"#, "é", .matches), ("^.$", "😀", .matches), ("", "", .matches), ("^$", "", .matches),
        ] {
            #expect(try Pattern(pattern).search(text) == answer, "\(pattern) \(text)")
        }
    }

    @Test func `numbers, bounds and references that nobody means end nothing but the check`() throws {
        for exponent in ["-9223372036854775808", "9223372036854775807", "-1000000", "99999999999999999999"] {
            let number = RawJSON(trusted: Array("1e\(exponent)".utf8))
            #expect(throws: JSONSchemaError.self) { try JSONSchema(RawJSON.object { $0.field("minimum", raw: number) }) }
            _ = try JSONSchema(RawJSON(#"{"type":"integer","enum":[1,2]}"#)).accepts(number.document().root)
        }
        // Legal, and nothing fits them.
        #expect(try violations(#"{"minProperties":2,"maxProperties":1}"#, #"{"a":1}"#).count == 1)
        #expect(try violations(#"{"minItems":2,"maxItems":1}"#, "[1]").count == 1)
        #expect(try violations(#"{"minLength":2,"maxLength":1}"#, #""ab""#).count == 1)
        #expect(try violations(#"{"contains":true,"minContains":2,"maxContains":1}"#, "[1,2]").count == 1)
        let links = (0..<2000).map { ##""a\##($0)":{"$ref":"#/$defs/a\##($0 + 1)"}"## }.joined(separator: ",")
        let chain = RawJSON(trusted: Array(##"{"$ref":"#/$defs/a0","$defs":{\##(links),"a2000":true}}"##.utf8))
        #expect(throws: JSONSchemaError.self) { try JSONSchema(chain) }
    }

    @Test func `a search is bounded over all the places where it may begin`() throws {
        let text = String(repeating: "a", count: 16_000)
        #expect(try Pattern("[ab]{0,60000}[ac][de]").search(text) == .undecided)
        #expect(try Pattern("a").search(text + text) == .undecided, "a text over the bound")
        #expect(try Pattern("b$").search(text + "b") == .matches)
    }

    @Test func `schemas and their patterns have a size`() throws {
        let large = RawJSON.object { $0.field("description", string: String(repeating: "x", count: 70_000)) }
        #expect(throws: JSONSchemaError.self) { try JSONSchema(large) }
        let patterns = (0..<100).map { _ in #"{"pattern":"(?:ab){6000}"}"# }.joined(separator: ",")
        #expect(throws: JSONSchemaError.self) { try JSONSchema(RawJSON(trusted: Array("{\"anyOf\":[\(patterns)]}".utf8))) }
        let constants = RawJSON(
            trusted: Array("{\"anyOf\":[\(Array(repeating: #"{"const":0}"#, count: 4000).joined(separator: ","))]}".utf8))
        let many = RawJSON(trusted: Array("[\(Array(repeating: "1", count: 100_000).joined(separator: ","))]".utf8))
        #expect(try JSONSchema(constants).violations(of: many.document().root).count == 1)
    }
}
