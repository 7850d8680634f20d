import JSON
import Testing

@testable import Domain

struct RequestToolTests {
    private static func tool(_ execution: String) throws -> RequestTool {
        try RequestTool(reading: try JSONDocument(parsing: Array(execution.utf8)).root, at: "/execution")
    }

    private static func fill(_ execution: String, _ arguments: String, secrets: [Secret] = []) throws -> FilledRequest {
        let arguments = try JSONDocument(parsing: Array(arguments.utf8)).root
        return try tool(execution).filled(TemplateValues(arguments: arguments, secrets: secrets))
    }

    private static let secret = Secret(name: "KEY", value: "s3cret/ä&x", hosts: [])

    private static let paths: [(String, String?)] = [
        ("ada", "https://api.test/users/ada?v=1"), ("a b/c?d#e&f=%", "https://api.test/users/a%20b%2Fc%3Fd%23e%26f%3D%25?v=1"),
        ("..a", "https://api.test/users/..a?v=1"), ("ü\\n", "https://api.test/users/%C3%BC%0A?v=1"),
        ("@evil.test:80", "https://api.test/users/%40evil.test%3A80?v=1"), ("{{id}}${secret.KEY}", nil),
    ]

    @Test(arguments: paths)
    func `an argument in a path stays within its segment`(_ argument: String, _ url: String?) throws {
        let filled = try Self.fill(#"{"url":"https://api.test/users/{{id}}?v=1"}"#, #"{"id":"\#(argument)"}"#)
        #expect(filled.url.description == url ?? "https://api.test/users/%7B%7Bid%7D%7D%24%7Bsecret.KEY%7D?v=1")
    }

    @Test func `a template of many places reads each member of the arguments once`() throws {
        let members = (0..<5000).map { #""m\#($0)":\#($0)"# }.joined(separator: ",")
        let arguments = try JSONDocument(parsing: Array(#"{\#(members),"in":{\#(members)},"in2":{"deep":{"x":1}}}"#.utf8)).root
        let places = (0..<1000).map { #""{{m\#($0 * 5)}}","{{in.m\#($0)}} {{in2.deep.x}}""# }.joined(separator: ",")
        let values = TemplateValues(arguments: arguments, secrets: [])
        let filled = try Self.tool(#"{"url":"https://api.test/","method":"POST","body":[\#(places)]}"#).filled(values)
        let body = try JSONDocument(parsing: try #require(filled.body)).root
        #expect(body.count == 2000 && body[1998]?.int == 4995 && body[1999]?.string == "999 1")
        #expect(values.membersRead == 5002 + 5000 + 1 + 1)
        #expect(values.node(["in", "m7"])?.int == 7 && values.node(["m7", "x"]) == nil && values.node(["in", "none"]) == nil)
        #expect(values.node(["none", "x", "y"]) == nil)
    }

    @Test func `a member whose name only looks like another's fills nothing`() throws {
        // U+212A is K to those who compare by equivalence; a rule's condition sees two members.
        let arguments = "{\"objectKey\":\"seen\",\"object\u{212A}ey\":\"unseen\"}"
        let filled = try Self.fill(#"{"url":"https://api.test/{{objectKey}}"}"#, arguments)
        #expect(filled.url.description == "https://api.test/seen")
    }

    @Test(arguments: [
        #"{"url":"https://api.test/","method":"POST","body":[PLACES]}"#,
        #"{"url":"https://api.test/","method":"POST","body":{"form":"x PLACES"}}"#,
        #"{"url":"https://api.test/?q=PLACES"}"#,
    ])
    func `a large argument in many places is refused at its bound, before all of them are filled`(_ execution: String) throws {
        let isArray = execution.contains("[PLACES]")
        let places = Array(repeating: isArray ? #""{{a}}""# : "{{a}}", count: 500).joined(separator: isArray ? "," : "")
        let large = String(repeating: "x", count: 200_000)
        #expect(throws: TemplateError.self) {
            try Self.fill(execution.replacing("PLACES", with: places), #"{"a":"\#(large)"}"#)
        }
    }

    @Test(arguments: ["..", ".", "", "%2e%2e"])
    func `an argument cannot climb out of its path`(_ argument: String) throws {
        if argument == "%2e%2e" {
            let filled = try Self.fill(#"{"url":"https://api.test/a/{{id}}/b"}"#, #"{"id":"%2e%2e"}"#)
            #expect(filled.url.target == "/a/%252e%252e/b")
        } else {
            #expect(throws: TemplateError.self) { try Self.fill(#"{"url":"https://api.test/a/{{id}}/b"}"#, #"{"id":"\#(argument)"}"#) }
        }
        #expect(throws: TemplateError.self) { try Self.fill(#"{"url":"https://api.test/a/{{id}}.{{id}}"}"#, #"{"id":""}"#) }
    }

    @Test func `parameters, headers and members whose argument is absent are left out`() throws {
        let execution = #"""
            {"url":"https://api.test/x?fixed=1","method":"post","query":{"q":"{{q}}","n":"{{n}}","all":"a&b {{q}}","gone":"{{gone}}"},
             "headers":{"X-Name":"n {{q}}","X-Gone":"{{gone}}"},
             "body":{"q":"{{q}}","n":"{{n}}","text":"{{q}} and {{n}}","gone":"{{gone}}","deep":{"list":["{{n}}","{{gone}}",1]},"o":"{{o}}"}}
            """#
        let filled = try Self.fill(execution, #"{"q":"a&b=c","n":3.50,"o":{"x":[null]},"gone":null}"#)
        #expect(filled.method == "POST")
        #expect(filled.url.target == "/x?fixed=1&q=a%26b%3Dc&n=3.50&all=a%26b%20a%26b%3Dc")
        #expect(filled.headers.map { "\($0.name): \($0.value)" } == ["X-Name: n a&b=c", "content-type: application/json"])
        let expected = #"{"q":"a&b=c","n":3.50,"text":"a&b=c and 3.50","deep":{"list":[3.50,null,1]},"o":{"x":[null]}}"#
        #expect(String(decoding: try #require(filled.body), as: UTF8.self) == expected)
    }

    @Test func `a header cannot be broken, a form not be extended, a body of JSON not be left`() throws {
        #expect(throws: TemplateError.self) {
            try Self.fill(#"{"url":"https://a.test/","headers":{"X-A":"{{a}}"}}"#, #"{"a":"x\r\nHost: evil.test"}"#)
        }
        let form = try Self.fill(
            #"{"url":"https://a.test/","method":"PUT","headers":{"Content-Type":"application/x-www-form-urlencoded"},"body":{"a":"{{a}}","b":"1"}}"#,
            #"{"a":"x&b=2"}"#)
        #expect(String(decoding: form.body ?? [], as: UTF8.self) == "a=x%26b%3D2&b=1")
        let json = try Self.fill(
            #"{"url":"https://a.test/","method":"PUT","body":{"a":"<{{a}}>"}}"#, #"{"a":"\",\"admin\":true,\"x\":\""}"#)
        #expect(try JSONDocument(parsing: json.body ?? []).root.count == 1)
        let text = try Self.fill(#"{"url":"https://a.test/","method":"PUT","body":"hello {{a}}"}"#, #"{"a":"you"}"#)
        #expect(String(decoding: text.body ?? [], as: UTF8.self) == "hello you")
    }

    @Test func `secrets are put in where the config says, and never where an argument asks`() throws {
        let execution = #"""
            {"url":"https://a.test/{{a}}?k=${secret.KEY}","method":"POST","headers":{"X-A":"{{a}}"},"body":{"k":"${secret.KEY}","a":"{{a}}"}}
            """#
        let filled = try Self.fill(execution, #"{"a":"${secret.KEY}"}"#, secrets: [Self.secret])
        #expect(filled.url.target == "/%24%7Bsecret.KEY%7D?k=s3cret%2F%C3%A4%26x")
        #expect(filled.headers[0].value == "${secret.KEY}")
        #expect(String(decoding: filled.body ?? [], as: UTF8.self) == #"{"k":"s3cret/ä&x","a":"${secret.KEY}"}"#)
        #expect(try Self.tool(execution).secretNames == ["KEY"])
        #expect(throws: TemplateError.self) { try Self.fill(execution, "{\"a\":\"x\"}") }
    }

    @Test(arguments: [
        #"{}"#, #"{"url":"https://{{host}}/x"}"#, #"{"url":"{{url}}"}"#, #"{"url":"https://api.{{host}}.test/"}"#,
        #"{"url":"${secret.URL}"}"#,
        #"{"url":"https://a.test{{path}}"}"#, #"{"url":"https://a.test:{{port}}/"}"#, #"{"url":"ftp://a.test/"}"#,
        #"{"url":"https://127.1/"}"#,
        #"{"url":"https://a.test/#{{x}}"}"#, #"{"url":"https://u:p@a.test/"}"#, #"{"url":"https://a.test/{{}}"}"#,
        #"{"url":"https://a.test/{{a"}"#,
        #"{"url":"https://a.test/${env.HOME}"}"#, #"{"url":"https://a.test/${HOME}"}"#, #"{"url":"https://a.test/${secret.}"}"#,
        #"{"url":"https://a.test/${secret.A-B}"}"#, #"{"url":"https://a.test/","method":"TRACE"}"#, #"{"url":"https://a.test/","body":{}}"#,
        #"{"url":"https://a.test/","headers":{"Host":"b.test"}}"#, #"{"url":"https://a.test/","headers":{"Content-Length":"1"}}"#,
        #"{"url":"https://a.test/","headers":{"a b":"1"}}"#, #"{"url":"https://a.test/","headers":{"A":{}}}"#,
        #"{"url":"https://a.test/","timeout":0}"#,
        #"{"url":"https://a.test/","timeout":300001}"#, #"{"url":"https://a.test/","surprise":1}"#,
        #"{"url":"https://a.test/","query":[]}"#,
        #"{"url":"https://a.test/","method":"POST","headers":{"content-type":"application/json"},"body":"{\"a\":\"{{a}}\"}"}"#,
        #"{"url":"https://a.test/","method":"POST","body":{"a":["{{"]}}"#,
    ])
    func `what could mean more than it says is refused at publish`(_ execution: String) {
        #expect(throws: JSONViolation.self) { try Self.tool(execution) }
    }

    @Test func `whatever the arguments are, the host and the number of parameters stay`() throws {
        var generator = SeededGenerator(seed: 7)
        let alphabet: [Character] = Array("az/.%?#&=@:\\{}$ é\u{0}\"'<>+;,~")
        for _ in 0..<500 {
            var text = ""
            for _ in 0..<Int.random(in: 1...12, using: &generator) { text.append(alphabet.randomElement(using: &generator) ?? "a") }
            let arguments = RawJSON.object { $0.field("a", string: text) }
            let tool = try Self.tool(#"{"url":"https://api.test:8443/v1/{{a}}/x","query":{"q":"{{a}}"}}"#)
            guard let filled = try? tool.filled(TemplateValues(arguments: try arguments.document().root, secrets: [])) else { continue }
            #expect(filled.url.origin == "https://api.test:8443")
            #expect(filled.url.target.hasPrefix("/v1/") && filled.url.target.utf8.count { $0 == UInt8(ascii: "/") } == 3)
            #expect(filled.url.target.utf8.count { $0 == UInt8(ascii: "&") } == 0)
            #expect(filled.url.target.utf8.count { $0 == UInt8(ascii: "?") } == 1)
        }
    }

    @Test func `text that was cut loses half a character, and what is no text is none`() {
        #expect(ResultCut.text(Array("é".utf8).dropLast()[...]) == "")
        #expect(ResultCut.text([0xFF, 0x41, 0x42, 0x43, 0x44][...]) == nil)
    }
}
