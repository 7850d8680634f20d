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
}
