import Domain
import JSON
import Testing

/// A policy file in its JSON form.
func policies(_ text: String, prefix: String = "", hash: String = "h") throws -> PolicySet {
    let document = try PolicyDocument(reading: try JSONDocument(parsing: Array(text.utf8)).root, prefix: prefix)
    return PolicySet(rules: document.rules, egress: document.egress, hash: hash)
}

func rules(_ rules: String...) throws -> PolicySet { try policies(#"{"version":1,"rules":[\#(rules.joined(separator: ","))]}"#) }

func question(
    _ target: ToolTarget = .device, _ tool: String = "fs.read", tenant: String = "acme", agent: String = "support",
    device: PolicyQuestion.Device = .open(labels: [:])
) throws -> PolicyQuestion {
    PolicyQuestion(tenantSlug: tenant, agentName: agent, target: target, tool: tool, device: device)
}

/// The usual one, with arguments.
func question(_ arguments: String?) throws -> PolicyQuestion {
    PolicyQuestion(
        tenantSlug: "acme", agentName: "support", target: .device, tool: "fs.read",
        arguments: try arguments.map { try JSONDocument(parsing: Array($0.utf8)).root })
}

struct PolicySetTests {
    private func decide(_ set: PolicySet, _ question: PolicyQuestion) -> PolicyDecision { EffectivePolicies(folder: set).decide(question) }

    @Test func `a pattern whose beginning or end is cut within a character is found by the index`() throws {
        for pattern in ["srv.abcé*", "srv.日本*", "srv.ab日*x", "*日本語", "*é.abcdefg", "?*日.日日", "*rv.é*日*"] {
            let set = try rules(
                #"{"id":"all","effect":"allow","tools":["srv.*"]}"#, #"{"id":"no","effect":"deny","tools":["\#(pattern)"]}"#)
            let name = "srv." + pattern.replacing("srv.", with: "").replacing("?", with: "x").replacing("*", with: "nukesrv.")
            #expect(decide(set, try question(.server, name)).rules == ["no"], "\(pattern)")
        }
    }

    @Test func `patterns that are equivalent to each other, and not the same, each stand in the index`() throws {
        // U+212A and K, which are one key to those who compare strings by equivalence.
        for patterns in ["\u{212A}*\",\"K*", "K*\",\"\u{212A}*"] {
            let set = try rules(#"{"id":"no","effect":"deny","tools":["\#(patterns)"]}"#)
            #expect(decide(set, try question(.server, "Kill")).rules == ["no"])
        }
    }

    @Test func `where nothing matches the answer is deny`() throws {
        let decision = decide(PolicySet(rules: [], hash: "none"), try question())
        #expect(decision.effect == .deny)
        #expect(decision.reason == .noRuleMatched && decision.code == "no_rule_matched")
        #expect(decision.rules.isEmpty)
    }

    @Test func `deny beats approval, approval beats allow, in any order, and the rules that decided are named`() throws {
        let all = [
            #"{"id":"a","effect":"allow"}"#, #"{"id":"p","effect":"require_approval","tools":["fs.*"]}"#,
            #"{"id":"d1","effect":"deny","tools":["fs.re*"]}"#, #"{"id":"d2","effect":"deny","tenants":["ac*"]}"#,
        ]
        for rotation in all.indices {
            let rotated = Array(all[rotation...] + all[..<rotation])
            let decision = decide(try policies(#"{"version":1,"rules":[\#(rotated.joined(separator: ","))]}"#), try question())
            #expect(decision.effect == .deny && decision.code == "denied_by_policy")
            #expect(Set(decision.rules) == ["d1", "d2"])
        }
        let approval = decide(try rules(all[0], all[1]), try question())
        #expect(approval.effect == .requireApproval && approval.rules == ["p"])
        #expect(approval.approvalSeconds == Limits.defaultApprovalSeconds)
        #expect(decide(try rules(all[0]), try question()).rules == ["a"])
    }

    @Test(arguments: [
        (#""tools":["fs.*"]"#, true), (#""tools":["fs.write","x"]"#, false), (#""agents":["sup*"]"#, true), (#""agents":["sales"]"#, false),
        (#""tenants":["acme"]"#, true), (#""tenants":["other"]"#, false), (#""targets":["device","browser"]"#, true),
        (#""targets":["server"]"#, false), (#""tools":["*"],"agents":["*"],"tenants":["*"]"#, true),
        (#""tools":["?s.read"],"tenants":["*me"],"targets":["device"]"#, true),
    ])
    func `each list narrows a rule`(lists: String, isMatch: Bool) throws {
        let set = try rules(#"{"id":"r","effect":"allow",\#(lists)}"#)
        #expect(decide(set, try question()).isDenied != isMatch)
    }

    @Test func `labels narrow to devices that have them, and until the device is known the rule may match`() throws {
        let set = try rules(#"{"id":"lab","effect":"allow","devices":{"labels":{"zone":"lab*","os":"linux"}}}"#)
        func effect(_ device: PolicyQuestion.Device) throws -> PolicyEffect { decide(set, try question(device: device)).effect }
        #expect(try effect(.chosen(labels: ["zone": "lab-1", "os": "linux", "more": "x"])) == .allow)
        #expect(try effect(.chosen(labels: ["zone": "lab-1"])) == .deny)
        #expect(try effect(.chosen(labels: ["zone": "prod", "os": "linux"])) == .deny)
        #expect(try effect(.open(labels: [:])) == .allow)
        #expect(try effect(.open(labels: ["zone": "lab"])) == .allow)
        // Its tool names a device of another zone, so no device of the lab will be asked.
        #expect(try effect(.open(labels: ["zone": "prod"])) == .deny)
        #expect(decide(set, try question(.server)).isDenied)
    }

    @Test func `a denial that hangs on the device does not deny before the device is known`() throws {
        let set = try rules(
            #"{"id":"all","effect":"allow"}"#, #"{"id":"prod","effect":"deny","devices":{"labels":{"zone":"prod"}}}"#,
            #"{"id":"ask","effect":"require_approval","devices":{"labels":{"zone":"stage"}}}"#)
        #expect(decide(set, try question(device: .chosen(labels: ["zone": "prod"]))).rules == ["prod"])
        // A person is asked where one might have to be.
        #expect(decide(set, try question()).effect == .requireApproval)
        #expect(decide(set, try question(device: .open(labels: ["zone": "lab"]))).effect == .allow)
    }

    @Test func `when looks at the arguments, and before they are known the rule may match`() throws {
        let set = try rules(
            #"{"id":"data","effect":"allow","when":{"required":["path"],"properties":{"path":{"type":"string","pattern":"^/data(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+$"}}}}"#
        )
        #expect(decide(set, try question(#"{"path":"/data/a/b.txt"}"#)).effect == .allow)
        for path in ["/data", "/data/../etc/passwd", "/etc/passwd", "/data/a\\u0000", "/data//a", "/DATA/a"] {
            #expect(decide(set, try question(#"{"path":"\#(path)"}"#)).reason == .noRuleMatched, "\(path)")
        }
        #expect(decide(set, try question("{}")).isDenied)
        #expect(decide(set, try question(nil)).effect == .allow)
    }

    /// Patterns on which a backtracking matcher takes time without end.
    @Test(arguments: ["^(a+)+$", "^(a|aa)+$", "^(a|a?)+$", "^(.*a){20}$", "^([a-z]+)*\\\\d$", "^(([a-z])+.)+[A-Z]([a-z])+$"])
    func `a pattern that explodes denies the call, whatever its rule would have said`(pattern: String) throws {
        let text = String(repeating: "a", count: 5000) + "!"
        for effect in ["allow", "deny", "require_approval"] {
            let set = try rules(
                #"{"id":"open","effect":"allow"}"#,
                #"{"id":"slow","effect":"\#(effect)","when":{"properties":{"q":{"pattern":"\#(pattern)"}}}}"#)
            let decision = decide(set, try question(#"{"q":"\#(text)"}"#))
            #expect(decision.effect == .deny && decision.code == "condition_undecided" && decision.rules == ["slow"])
        }
    }

    @Test func `of several rules that let a call through the smallest of each limit holds, and each counts for itself`() throws {
        let set = try rules(
            #"{"id":"a","effect":"allow","limits":{"perRun":20,"timeoutSeconds":30}}"#,
            #"{"id":"b","effect":"allow","tools":["fs.*"],"limits":{"perRun":5,"perMinute":60,"maxResultBytes":1024}}"#,
            #"{"id":"c","effect":"allow","tools":["other"],"limits":{"perRun":1}}"#,
            #"{"id":"p","effect":"require_approval","approval":{"expiresSeconds":60},"limits":{"timeoutSeconds":10}}"#)
        let decision = decide(set, try question())
        #expect(decision.limits == PolicyLimits(perRun: 5, perMinute: 60, timeoutSeconds: 10, maxResultBytes: 1024))
        #expect(decision.counted.map(\.rule) == ["a", "b"])
        #expect(decision.effect == .requireApproval && decision.approvalSeconds == 60)
    }

    // MARK: Two layers

    @Test func `a tenant's layer can only narrow the operator's`() throws {
        let folder = try rules(
            #"{"id":"read","effect":"allow","tools":["fs.*"],"limits":{"timeoutSeconds":30,"perRun":10}}"#,
            #"{"id":"never","effect":"deny","tools":["fs.delete"]}"#,
            #"{"id":"ask","effect":"require_approval","tools":["fs.write"],"approval":{"expiresSeconds":600}}"#)
        let tenant = try policies(
            #"{"version":1,"rules":[{"id":"wide","effect":"allow","limits":{"timeoutSeconds":60,"maxResultBytes":999}},"#
                + #"{"id":"no","effect":"deny","tools":["fs.read"],"agents":["sales"]},"#
                + #"{"id":"mine","effect":"require_approval","tools":["fs.list","fs.write"],"approval":{"expiresSeconds":60}}]}"#,
            prefix: "tenant/p/", hash: "t")
        let both = EffectivePolicies(folder: folder, tenant: tenant)
        func decision(_ tool: String, agent: String = "support") throws -> PolicyDecision {
            both.decide(try question(.device, tool, agent: agent))
        }
        let read = try decision("fs.read")
        #expect(read.effect == .allow && read.rules == ["read", "tenant/p/wide"])
        #expect(read.limits == PolicyLimits(perRun: 10, timeoutSeconds: 30, maxResultBytes: 999))
        #expect(read.policyHash == "h+t")
        #expect(try decision("fs.read", agent: "sales").rules == ["tenant/p/no"])
        #expect(try decision("fs.delete").rules == ["never"])
        // What the folder does not allow, the tenant cannot.
        #expect(try decision("shell").reason == .noRuleMatched)
        let list = try decision("fs.list")
        #expect(list.effect == .requireApproval && list.rules == ["tenant/p/mine"] && list.approvalSeconds == 60)
        let write = try decision("fs.write")
        #expect(write.rules == ["ask", "tenant/p/mine"] && write.approvalSeconds == 60)
        // Where the tenant's layer has no opinion, the folder's stands.
        let quiet = EffectivePolicies(folder: folder, tenant: try rules(#"{"id":"x","effect":"deny","tools":["other"]}"#))
        #expect(quiet.decide(try question(.device, "fs.read")).effect == .allow)
    }

    @Test func `whatever a tenant writes, nothing is allowed that the folder does not allow`() throws {
        var generator = SeededGenerator(seed: 11)
        let pieces = ["fs.read", "fs.write", "fs.*", "*", "s*", "search"]
        func random(_ prefix: String) throws -> PolicySet {
            let count = Int.random(in: 0...6, using: &generator)
            let rules = (0..<count).map { index in
                let effect = PolicyEffect.allCases.randomElement(using: &generator) ?? .deny
                let tool = pieces.randomElement(using: &generator) ?? "*"
                let target = ToolTarget.allCases.randomElement(using: &generator) ?? .device
                let targets = Bool.random(using: &generator) ? #","targets":["\#(target.rawValue)"]"# : ""
                return #"{"id":"r\#(index)","effect":"\#(effect.rawValue)","tools":["\#(tool)"]\#(targets)}"#
            }
            return try policies(#"{"version":1,"rules":[\#(rules.joined(separator: ","))]}"#, prefix: prefix)
        }
        for _ in 0..<500 {
            let folder = try random("")
            let both = EffectivePolicies(folder: folder, tenant: try random("tenant/p/"))
            for target in ToolTarget.allCases {
                for tool in ["fs.read", "fs.write", "search", "shell"] {
                    let asked = try question(target, tool)
                    #expect(both.decide(asked).effect >= EffectivePolicies(folder: folder).decide(asked).effect)
                }
            }
        }
    }

    @Test func `what is wider than the operator's rules is warned of, by name or by pattern`() throws {
        let folder = try rules(
            #"{"id":"read","effect":"allow","targets":["device"],"tools":["fs.re*","search"]}"#,
            #"{"id":"web","effect":"allow","targets":["browser"]}"#,
            #"{"id":"no","effect":"deny","targets":["device"],"tools":["fs.remove"]}"#)
        func warnings(_ rule: String) throws -> Int {
            let document = try PolicyDocument(reading: try JSONDocument(parsing: Array(#"{"version":1,"rules":[\#(rule)]}"#.utf8)).root)
            return folder.warnings(about: document, tenantSlug: "acme").count
        }
        #expect(try warnings(#"{"id":"a","effect":"allow","targets":["device"],"tools":["fs.read","fs.read*","search"]}"#) == 0)
        #expect(try warnings(#"{"id":"a","effect":"allow","targets":["browser"]}"#) == 0)
        #expect(try warnings(#"{"id":"a","effect":"allow","targets":["device"],"tools":["fs.*"]}"#) == 1)
        #expect(try warnings(#"{"id":"a","effect":"allow","targets":["device"],"tools":["fs.remove"]}"#) == 1)
        #expect(try warnings(#"{"id":"a","effect":"require_approval","targets":["server"]}"#) == 1)
        #expect(try warnings(#"{"id":"a","effect":"deny"}"#) == 0)
    }

    @Test func `an explanation looks at every rule and says why`() throws {
        let set = try rules(
            #"{"id":"a","effect":"allow","tools":["fs.*"]}"#, #"{"id":"b","effect":"deny","agents":["sales"]}"#,
            #"{"id":"c","effect":"deny","when":{"required":["force"]}}"#,
            #"{"id":"d","effect":"allow","devices":{"labels":{"zone":"lab"}}}"#)
        let known = EffectivePolicies(folder: set).explain(try question(#"{"path":"/x"}"#))
        #expect(known.map(\.rule) == ["a", "b", "c", "d"])
        #expect(known.map(\.result) == [.matched, .notMatched, .notMatched, .possible])
        #expect(known[0].because.contains("fs.*") && known[1].because.contains("sales") && known[2].because.contains("force"))
        let unknown = EffectivePolicies(folder: set).explain(try question(.device, device: .chosen(labels: ["zone": "prod"])))
        #expect(unknown.map(\.result) == [.matched, .notMatched, .possible, .notMatched])
        #expect(unknown[3].because.contains("zone: lab"))
    }
}
