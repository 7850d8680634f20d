import JSON
import Testing

/// Where a text stopped being JSON, as RFC 6901 writes it.
struct PlaceTests {
    @Test(arguments: [
        ("", ""), ("  ", ""), ("x", ""), ("nul", ""), ("-", ""), ("\"a", ""), ("1 1", ""), ("{} {}", ""), ("[1] x", ""), (#"{"a":1}}"#, ""),
        ("[", ""), ("{", ""), (#"{"a""#, "/a"), (#"{"a"#, ""), (#"{"a":"#, "/a"), (#"{"a":1"#, ""), (#"{"a":1,"#, ""), (#"{"a":1,"b"#, ""),
        (#"{"a":1,"b":"#, "/b"), (#"{"a":1,"b":x}"#, "/b"), (#"{"a":[1,2"#, "/a"), (#"{"a":[1,2,"#, "/a/2"), (#"{"a":[1,2,]}"#, "/a/2"),
        (#"{"a":[1,2}"#, "/a"), (#"{"a":[[],{},[0,{"b":01}]]}"#, "/a/2/1/b"), (#"{"a":{"b":{"c":1}},"d" 1}"#, "/d"),
        (#"{"a":{"b":{"c":1}} "d":1}"#, ""), (#"[{"a":1},{"a":"\ud800"}]"#, "/1/a"), (#"[[1,2],[3,tru]]"#, "/1/1"), ("[,]", "/0"),
        (#"{"a/b":{"~":{"":?}}}"#, "/a~1b/~0/"), (#"{"\u0061\u002f":[?]}"#, "/a~1/0"), (#"{"a":"x"#, "/a"), ("[\"\u{1}\"]", "/0"),
        ("\u{FEFF}{}", ""),
    ])
    func `a text that is no JSON is refused with the innermost value under way`(text: String, pointer: String) {
        #expect(refusal(text)?.pointer == pointer, "\(text)")
    }

    @Test(arguments: [
        (#"{"a":1,"a":2}"#, "/a"), (#"{"a":1,"\u0061":2}"#, "/a"), (#"[{"":1,"b":{},"":2}]"#, "/0/"),
        (#"{"x":[0,{"y":{"b":1,"a/":1,"a/":2}}]}"#, "/x/1/y/a~1"), (#"{"a":{"b":1},"c":{"b":1,"b":1},"a":1}"#, "/c/b"),
    ])
    func `a repeated key is refused with its member, in a small object and in a large one`(text: String, pointer: String) throws {
        #expect(refusal(text)?.pointer == pointer)
        #expect(refusal(text)?.violation.pointer == pointer)
        let many = (0..<100).map { #""key\#($0)":[{}],"# }.joined()
        #expect(refusal(text.replacing("{", with: "{" + many, maxReplacements: 1))?.pointer == pointer)
    }

    @Test func `what is nested too deep is refused with the container that is too much`() throws {
        let limits = JSONLimits(maxDepth: 3)
        #expect(refusal(#"{"a":[{"b":{}}]}"#, limits: limits)?.pointer == "/a/0/b")
        #expect(refusal(#"{"a":[{"b":1},{"c":[]}]}"#, limits: limits)?.pointer == "/a/1/c")
        #expect(refusal(#"[[[1,[]]]]"#, limits: limits)?.pointer == "/0/0/1")
        #expect(refusal("[1,2,3]", limits: JSONLimits(maxBytes: 6))?.pointer == "")
    }

    @Test func `a pointer stays short: of a long way it is as much as leads to a container around the place`() throws {
        let long = String(repeating: "k", count: 300)
        let text = (0..<5).map { _ in #"{"\#(long)":"# }.joined() + "?"
        let pointer = try #require(refusal(text)?.pointer)
        #expect(pointer == String(repeating: "/\(long)", count: 3))
        #expect(pointer.utf8.count <= JSONError.maxPointerBytes)
        let longer = String(repeating: "/", count: 1_000_000)
        #expect(refusal(#"{"a":{"\#(longer)":?}}"#)?.pointer == "/a")
        #expect(refusal(#"{"a":{"\#(longer)":1,"\#(longer)":1}}"#)?.pointer == "/a")
        // Half of what a pointer may have, and twice that once it is escaped.
        #expect(refusal(#"{"\#(String(repeating: "~", count: 600))":?}"#)?.pointer == "")
    }

    @Test func `the place in a text of many parts is found in one more pass`() throws {
        let list = "[" + String(repeating: "[0],", count: 200_000) + "{\"a\":?}]"
        #expect(refusal(list)?.pointer == "/200000/a")
        let deep = String(repeating: "[1,", count: 100_000)
        let pointer = try #require(refusal(deep, limits: JSONLimits(maxDepth: 200_000))?.pointer)
        #expect(pointer == String(repeating: "/1", count: JSONError.maxPointerBytes / 2))
    }
}
