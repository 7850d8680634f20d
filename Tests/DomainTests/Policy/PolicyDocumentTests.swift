import Domain
import JSON
import Testing

/// The format, strictly: what is wrong is named with its place, and what would be right is said.
struct PolicyDocumentTests {
    private func violation(_ text: String) throws -> JSONViolation? {
        let root = try JSONDocument(parsing: Array(text.utf8)).root
        do throws(JSONViolation) {
            _ = try PolicyDocument(reading: root)
            return nil
        } catch { return error }
    }

    private func rule(_ rest: String) throws -> JSONViolation? { try violation(#"{"version":1,"rules":[{"id":"a",\#(rest)}]}"#) }

    @Test(arguments: [
        (#"{}"#, "/version", "version: 1"), (#"{"version":2}"#, "/version", "must be 1"),
        (#"{"version":1,"rule":[]}"#, "/rule", "unknown field"),
        (#"{"version":1,"rules":{}}"#, "/rules", "list"), (#"{"version":1,"rules":[{"effect":"allow"}]}"#, "/rules/0/id", "required"),
        (#"{"version":1,"rules":[{"id":"a b","effect":"allow"}]}"#, "/rules/0/id", "letters"),
        (#"{"version":1,"rules":[{"id":"a","effect":"allow"},{"id":"a","effect":"deny"}]}"#, "/rules/1/id", "twice"),
        (#"{"version":1,"egress":{"default":"open"}}"#, "/egress/default", "public or deny"),
        (#"{"version":1,"egress":{"allow":[{"hosts":[]}]}}"#, "/egress/allow/0/hosts", "at least one"),
        (#"{"version":1,"egress":{"allow":[{"hosts":["ok.org","a b"]}]}}"#, "/egress/allow/0/hosts/1", "must be a name"),
        (#"{"version":1,"egress":{"allow":[{"host":["ok.org"]}]}}"#, "/egress/allow/0/hosts", "required"),
    ])
    func `a file that is wrong is refused with its place`(text: String, pointer: String, message: String) throws {
        let found = try #require(try violation(text))
        #expect(found.pointer == pointer && found.message.contains(message), "\(found)")
    }

    @Test(arguments: [
        (#""effect":"perhaps""#, "/effect", "allow, deny or require_approval"), (#""effect":true"#, "/effect", "string"),
        (#""effect":"allow","tools":[]"#, "/tools", "leave it out"), (#""effect":"allow","tools":[""]"#, "/tools", "none empty"),
        (#""effect":"allow","tools":"fs.read""#, "/tools", "array"),
        (#""effect":"allow","targets":["moon"]"#, "/targets/0", "server, device"),
        (#""effect":"allow","tool":["x"]"#, "/tool", "unknown field"), (#""effect":"deny","limits":{"perRun":1}"#, "/limits", "denies"),
        (#""effect":"allow","approval":{"expiresSeconds":1}"#, "/approval", "require_approval"),
        (#""effect":"require_approval","approval":{"expiresSeconds":0}"#, "/approval/expiresSeconds", "from 1"),
        (#""effect":"allow","limits":{"perRun":0}"#, "/limits/perRun", "from 1"),
        (#""effect":"allow","limits":{"perRun":1.5}"#, "/limits/perRun", "integer"),
        (#""effect":"allow","limits":{"maxResultBytes":10}"#, "/limits/maxResultBytes", "from 256"),
        (#""effect":"allow","limits":{"perHour":1}"#, "/limits/perHour", "unknown field"),
        (#""effect":"allow","devices":{"labels":{}}"#, "/devices/labels", "at least one"),
        (#""effect":"allow","devices":{"zone":"lab"}"#, "/devices/labels", "required"),
        (#""effect":"allow","targets":["server"],"devices":{"labels":{"a":"b"}}"#, "/devices", "never matches"),
        (#""effect":"allow","when":[]"#, "/when", "object"), (#""effect":"allow","when":{"type":"text"}"#, "/when/type", "must be one of"),
        (#""effect":"allow","when":{"properties":{"p":{"pattern":"("}}}"#, "/when/properties/p/pattern", ""),
        (#""effect":"allow","when":{"propertes":{}}"#, "/when/propertes", "keyword"),
        (#""effect":"allow","when":{"properties":{"p":{"patern":"x"}}}"#, "/when/properties/p/patern", "keyword"),
        (#""effect":"allow","when":{"anyOf":[true,{"requird":["p"]}]}"#, "/when/anyOf/1/requird", "keyword"),
    ])
    func `a rule that is wrong is refused with its place`(rest: String, pointer: String, message: String) throws {
        let found = try #require(try rule(rest))
        #expect(found.pointer == "/rules/0" + pointer && found.message.contains(message), "\(found)")
    }

    @Test func `a whole file is read`() throws {
        let set = try policies(
            """
            {"version":1,"rules":[{"id":"research-on-lab-devices","tenants":["acme"],"agents":["research-*"],"targets":["server","device"],
             "tools":["fs.read*","search"],"devices":{"labels":{"zone":"lab"}},
             "when":{"required":["path"],"properties":{"path":{"type":"string"}}},"effect":"allow",
             "limits":{"perRun":20,"perMinute":60,"timeoutSeconds":30,"maxResultBytes":262144}},
             {"id":"b","effect":"require_approval","approval":{"expiresSeconds":3600}},{"id":"c","effect":"require_approval","approval":{}}],
             "egress":{"default":"deny","allow":[{"tenants":["acme"],"hosts":["*.example.org","10.0.0.5:8443"]}]}}
            """)
        #expect(set.rules.count == 3)
        #expect(set.rules[0].limits == PolicyLimits(perRun: 20, perMinute: 60, timeoutSeconds: 30, maxResultBytes: 262_144))
        #expect(set.rules[1].approvalSeconds == 3600 && set.rules[2].approvalSeconds == nil)
        #expect(set.egress?.byDefault == .deny && set.egress?.allowances.count == 1)
    }

    @Test func `a test says what it expected and what was decided`() throws {
        let set = EffectivePolicies(
            folder: try rules(
                #"{"id":"a","effect":"allow","tools":["fs.*"],"limits":{"perRun":3}}"#, #"{"id":"b","effect":"deny","tools":["x"]}"#))
        let file = try PolicyTestFile(
            reading: try JSONDocument(
                parsing: Array(
                    """
                    {"version":1,"tests":[
                    {"name":"right","given":{"target":"device","tool":"fs.read"},"expect":{"decision":"allow","rule":"a","limits":{"perRun":3}}},
                    {"name":"effect","given":{"target":"device","tool":"x"},"expect":{"decision":"allow"}},
                    {"name":"rule","given":{"target":"device","tool":"x"},"expect":{"decision":"deny","rule":"c"}},
                    {"name":"reason","given":{"target":"device","tool":"y"},"expect":{"decision":"deny","reason":"rule"}},
                    {"name":"limits","given":{"target":"device","tool":"fs.read"},"expect":{"decision":"allow","limits":{"perRun":4}}}]}
                    """.utf8)
            ).root)
        let failures = file.cases.map { $0.failure(under: set) }
        #expect(failures[0] == nil)
        #expect(failures[1]?.contains("decided deny by b") == true)
        #expect(failures[2]?.contains("expected c") == true)
        #expect(failures[3]?.contains("no_rule_matched") == true)
        #expect(failures[4]?.contains("perRun") == true)
    }
}
