import Domain
import JSON
import Testing

struct AgentConfigTests {
    static let good = """
        {"version":"1.0","agent":{"name":"support","description":"d","system":"You are …"},
         "model":{"provider":"openai-compatible","name":"m","api":"chat","temperature":0.7,"maxOutputTokens":1000,
                  "baseURL":"https://models.example/v1","apiKey":"k","providerOptions":{"seed":1}},
         "loop":{"maxSteps":5,"toolChoice":"required"},
         "tools":[{"name":"fixed","inputSchema":{"type":"object"},"executionType":"basic","execution":{"mode":"static","output":[1]}},
                  {"name":"readFile","description":"r","target":"device","device":{"labels":{"zone":"lab"}},"timeoutSeconds":60},
                  {"name":"ask","executionType":"basic","execution":null},
                  {"name":"charge","target":"external"}],
         "mcp":{"servers":[]}}
        """

    @Test func `a config that holds everything is read`() throws {
        let config = try AgentConfig(reading: node(Self.good))
        #expect(config.agentName == "support")
        #expect(config.system == "You are …")
        #expect(config.model.provider == "openai-compatible")
        #expect(config.model.baseURL == "https://models.example/v1")
        #expect(config.model.temperature == 0.7)
        #expect(config.model.maxOutputTokens == 1000)
        #expect(config.model.providerOptions?.string == "{\"seed\":1}")
        #expect(config.maxSteps == 5)
        #expect(config.toolChoice == "required")
        #expect(config.tools.map(\.name) == ["fixed", "readFile", "ask", "charge"])
        #expect(config.tools.map(\.target) == [.server, .device, .browser, .external])
        #expect(config.tool(named: "fixed")?.serverKind == .static(RawJSON("[1]")))
        #expect(config.tool(named: "readFile")?.device?.labels == ["zone": "lab"])
        #expect(config.tool(named: "readFile")?.timeoutSeconds == 60)
        #expect(config.tool(named: "ask")?.timeoutSeconds == Limits.defaultToolSeconds)
        #expect(config.tool(named: "nobody") == nil)
    }

    @Test func `what is left out has its default`() throws {
        let config = try AgentConfig(
            reading: node(#"{"version":"1.0","agent":{"name":"a"},"model":{"provider":"simulated","script":{"steps":[]}}}"#))
        #expect(config.maxSteps == Limits.defaultSteps)
        #expect(config.toolChoice == "auto")
        #expect(config.tools.isEmpty)
        #expect(config.model.name == "simulated")
        #expect(config.model.script?.string == "{\"steps\":[]}")
        #expect(config.description == nil)
        #expect(config.system == nil)
    }

    /// The good config with one text replaced, and where the fault then lies.
    @Test(arguments: [
        (#""version":"1.0""#, #""version":"2.0""#, "/version"), (#""version":"1.0","#, "", "/version"),
        (#""name":"support""#, #""name":"-x""#, "/agent/name"), (#""name":"support""#, #""name":"a b""#, "/agent/name"),
        (#""name":"support""#, #""name":"" "#, "/agent/name"), (#""name":"support","#, "", "/agent/name"),
        (#""name":"support""#, #""name":7"#, "/agent/name"), (#""description":"d""#, #""description":7"#, "/agent/description"),
        (#""system":"You are …""#, #""system":[]"#, "/agent/system"), (#""system":"You are …""#, #""sytem":"x""#, "/agent/sytem"),
        (#""openai-compatible""#, #""openai""#, "/model/provider"), (#""name":"m","#, "", "/model/name"),
        (#""name":"m""#, #""name":"""#, "/model/name"), (#""api":"chat""#, #""api":"responses""#, "/model/api"),
        (#""temperature":0.7"#, #""temperature":2.1"#, "/model/temperature"),
        (#""temperature":0.7"#, #""temperature":"hot""#, "/model/temperature"),
        (#""maxOutputTokens":1000"#, #""maxOutputTokens":0"#, "/model/maxOutputTokens"),
        (#""maxOutputTokens":1000"#, #""maxOutputTokens":1.5"#, "/model/maxOutputTokens"),
        (#""https://models.example/v1""#, #""ftp://models.example""#, "/model/baseURL"),
        (#""baseURL":"https://models.example/v1","#, "", "/model/baseURL"), (#""apiKey":"k""#, #""apiKey":"k\n""#, "/model/apiKey"),
        (#"{"seed":1}"#, "[1]", "/model/providerOptions"), (#""api":"chat""#, #""script":{}"#, "/model/script"),
        (#""api":"chat""#, #""reasoning":{}"#, "/model/reasoning"), (#""maxSteps":5"#, #""maxSteps":0"#, "/loop/maxSteps"),
        (#""maxSteps":5"#, #""maxSteps":101"#, "/loop/maxSteps"), (#""required""#, #""maybe""#, "/loop/toolChoice"),
        (#""maxSteps":5"#, #""steps":5"#, "/loop/steps"), (#""loop":{"maxSteps":5,"toolChoice":"required"}"#, #""loop":[]"#, "/loop"),
        (#""name":"ask""#, #""name":"fixed""#, "/tools/2/name"), (#""name":"ask""#, #""name":"a/b""#, "/tools/2/name"),
        (#""servers":[]"#, #""servers":[{"name":"docs"}]"#, "/mcp/servers/0/url"), (#""servers":[]"#, #""server":[]"#, "/mcp/server"),
        (#""mcp":"#, #""extra":1,"mcp":"#, "/extra"), (#""mcp":"#, #""a/b~c":1,"mcp":"#, "/a~1b~0c"),
        (#"{"type":"object"}"#, "true", "/tools/0/inputSchema"),
    ])
    func `a fault is refused with its pointer`(good: String, bad: String, pointer: String) throws {
        let text = Self.good.replacing(good, with: bad)
        #expect(text != Self.good)
        let violation = #expect(throws: JSONViolation.self) { try AgentConfig(reading: node(text)) }
        #expect(violation?.pointer == pointer)
        #expect(violation?.message.isEmpty == false)
    }

    @Test func `pointers begin where the config lies in the body`() throws {
        let violation = #expect(throws: JSONViolation.self) { try AgentConfig(reading: node(#"{"version":"x"}"#), at: "/config") }
        #expect(violation?.pointer == "/config/version")
        #expect(throws: JSONViolation(pointer: "", message: "must be an object")) { try AgentConfig(reading: node("[]")) }
    }

    @Test func `one tool more than the bound is refused`() throws {
        func config(_ count: Int) -> String {
            let tools = (0..<count).map { #"{"name":"t\#($0)","executionType":"basic"}"# }.joined(separator: ",")
            return #"{"version":"1.0","agent":{"name":"a"},"model":{"provider":"simulated","script":{}},"tools":[\#(tools)]}"#
        }
        #expect(try AgentConfig(reading: node(config(Limits.maxTools))).tools.count == Limits.maxTools)
        let violation = #expect(throws: JSONViolation.self) { try AgentConfig(reading: node(config(Limits.maxTools + 1))) }
        #expect(violation?.pointer == "/tools")
    }

    @Test func `the simulated provider needs its script`() throws {
        let violation = #expect(throws: JSONViolation.self) {
            try AgentConfig(reading: node(#"{"version":"1.0","agent":{"name":"a"},"model":{"provider":"simulated"}}"#))
        }
        #expect(violation?.pointer == "/model/script")
    }

    @Test(arguments: [
        (#"{"a":1,"b":[true,null,"x"]}"#, #"{ "b" : [ true , null , "\u0078" ] , "a" : 1 }"#),
        (#"{"n":100}"#, #"{"n":1e2}"#), (#"{"n":100}"#, #"{"n":100.0}"#), (#"{"n":0.5}"#, #"{"n":5E-1}"#), (#"{"n":0}"#, #"{"n":-0.0}"#),
        (#"{"é":"ü"}"#, #"{"\u00e9":"\u00FC"}"#), (#"{"o":{"y":1,"x":2}}"#, #"{"o":{"x":2,"y":1}}"#),
    ])
    func `configs that say the same have one hash`(left: String, right: String) throws {
        let hash = try AgentConfig.hash(of: node(left))
        #expect(try AgentConfig.hash(of: node(right)) == hash)
        #expect(hash.hasPrefix("sha256:"))
        #expect(hash.utf8.count == 71)
    }

    @Test(arguments: [(#"{"a":1}"#, #"{"a":2}"#), (#"{"a":[1,2]}"#, #"{"a":[2,1]}"#), (#"{"a":1}"#, #"{"a":"1"}"#), ("{}", #"{"a":null}"#)])
    func `configs that differ have two`(left: String, right: String) throws {
        #expect(try AgentConfig.hash(of: node(left)) != AgentConfig.hash(of: node(right)))
    }

    @Test func `the hash is the one of RFC 8785 and SHA-256`() throws {
        // printf '%s' '{"a":1,"b":2}' | sha256sum
        #expect(
            try AgentConfig.hash(of: node(#"{"b":2.0,"a":1}"#))
                == "sha256:43258cff783fe7036d8a43033f830adfc60ec037382473548ac742b888292777")
    }

    @Test(arguments: [#"{"a":"\u0000"}"#, #"{"a":1e999}"#])
    func `what has no canonical form has no hash`(text: String) throws {
        #expect(throws: JSONError.self) { try AgentConfig.hash(of: node(text)) }
    }
}
