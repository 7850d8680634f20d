import Domain
import JSON
import Testing

struct ToolReadingTests {
    private func read(_ members: String) throws -> ToolDefinition {
        let text = #"{"version":"1.0","agent":{"name":"a"},"model":{"provider":"simulated","script":{}},"tools":[{"name":"t"\#(members)}]}"#
        return try #require(try AgentConfig(reading: node(text)).tools.first)
    }

    @Test(arguments: [
        (#","executionType":"basic""#, ToolTarget.browser, nil as ServerToolKind?),
        (#","executionType":"basic","execution":null"#, .browser, nil),
        (#","executionType":"basic","execution":{}"#, .browser, nil),
        (#","executionType":"basic","execution":{"mode":"no-execution"}"#, .browser, nil),
        (#","executionType":"basic","execution":{"mode":"pass-through"}"#, .server, .passThrough),
        (#","executionType":"basic","execution":{"mode":"static","output":{"a":1}}"#, .server, .static(RawJSON(#"{"a":1}"#))),
        (#","executionType":"basic","execution":{"mode":"static","output":false}"#, .server, .static(RawJSON("false"))),
        (#","executionType":"basic","execution":{"mode":"pass-through"},"target":"server""#, .server, .passThrough),
        (#","executionType":"basic","target":"browser""#, .browser, nil), (#","target":"browser""#, .browser, nil),
        (#","target":"external""#, .external, nil), (#","target":"device","device":{"key":"k"}"#, .device, nil),
    ])
    func `where a tool runs follows from target, executionType and mode`(
        members: String, target: ToolTarget, kind: ServerToolKind?
    ) throws {
        let tool = try read(members)
        #expect(tool.target == target)
        #expect(tool.serverKind == kind)
        #expect((tool.device != nil) == (target == .device))
        #expect(tool.inputSchema.string == #"{"type":"object"}"#)
    }

    @Test func `a schema of arguments that is none is refused with the place of its fault`() {
        let faults = [
            (#"{"type":"text"}"#, "/tools/0/inputSchema/type"),
            (#"{"properties":{"a":{"pattern":"("}}}"#, "/tools/0/inputSchema/properties/a/pattern"),
            ("3", "/tools/0/inputSchema"), (#"{"$ref":"https://example.org/schema"}"#, "/tools/0/inputSchema"),
        ]
        for (schema, pointer) in faults {
            #expect {
                try read(#","target":"browser","inputSchema":\#(schema)"#)
            } throws: { error in
                (error as? JSONViolation)?.pointer.hasSuffix(pointer) == true
            }
        }
    }

    @Test(arguments: [
        ("", ""), (#","target":"moon""#, "/target"), (#","target":"server""#, "/executionType"),
        (#","executionType":"request""#, "/execution"), (#","executionType":"request","execution":{}"#, "/execution/url"),
        (#","executionType":"compute""#, "/execution"), (#","executionType":"waiting""#, "/execution"),
        (#","executionType":"compute","execution":{"expression":"1 +"}"#, "/execution/expression"),
        (#","executionType":"waiting","execution":{}"#, "/execution"),
        (#","executionType":"image-generator""#, "/executionType"), (#","executionType":"nonsense""#, "/executionType"),
        (#","executionType":"basic","target":"device","device":{"key":"k"}"#, "/target"),
        (#","executionType":"basic","target":"server""#, "/target"),
        (#","executionType":"basic","execution":{"mode":"static"}"#, "/execution/output"),
        (#","executionType":"basic","execution":{"mode":"magic"}"#, "/execution/mode"),
        (#","executionType":"basic","execution":{"url":"x"}"#, "/execution/url"),
        (#","executionType":"basic","execution":[]"#, "/execution"),
        (#","target":"external","execution":{"url":"ftp://x"}"#, "/execution/url"), (#","target":"browser","execution":{}"#, "/execution"),
        (#","target":"device""#, "/device"), (#","target":"browser","device":{"key":"k"}"#, "/device"),
        (#","target":"browser","timeoutSeconds":0"#, "/timeoutSeconds"),
        (#","target":"browser","timeoutSeconds":86401"#, "/timeoutSeconds"),
        (#","target":"browser","secret":1"#, "/secret"), (#","target":"browser","inputSchema":true"#, "/inputSchema"),
    ])
    func `a tool that this version cannot run is refused with its pointer`(members: String, pointer: String) throws {
        let violation = #expect(throws: JSONViolation.self) { try read(members) }
        #expect(violation?.pointer == "/tools/0" + pointer)
    }

    @Test(arguments: [1, Limits.maxToolSeconds])
    func `time-outs up to the bound are taken`(seconds: Int) throws {
        #expect(try read(#","target":"browser","timeoutSeconds":\#(seconds)"#).timeoutSeconds == seconds)
    }
}

struct DeviceSelectorTests {
    private func read(_ text: String) throws -> DeviceSelector { try DeviceSelector(reading: node(text), at: "/device") }

    @Test func `a device is named by id, key or labels, and its JSON reads back as the same`() throws {
        let id = DeviceID.generate()
        let selectors = [
            try read(#"{"id":"\#(id)"}"#), try read(#"{"key":"lab-1"}"#), try read(#"{"labels":{"zone":"lab","os":"linux"}}"#),
            try read(#"{"id":"\#(id)","key":"k","labels":{"a":"b"}}"#),
        ]
        #expect(selectors.map(\.deviceID) == [id, nil, nil, id])
        #expect(selectors.map(\.deviceKey) == [nil, "lab-1", nil, "k"])
        #expect(selectors[2].labels == ["zone": "lab", "os": "linux"])
        for selector in selectors { #expect(try read(selector.json.string) == selector) }
        #expect(selectors[2].json.string == #"{"labels":{"os":"linux","zone":"lab"}}"#)
    }

    @Test(arguments: [
        ("{}", ""), (#"{"labels":{}}"#, ""), (#"{"id":"x"}"#, "/id"), (#"{"key":7}"#, "/key"), (#"{"labels":[]}"#, "/labels"),
        (#"{"labels":{"a":1}}"#, "/labels/a"), (#"{"labels":{"a/b~":1}}"#, "/labels/a~1b~0"), (#"{"labels":{"":"x"}}"#, "/labels/"),
        (#"{"label":{"a":"b"}}"#, "/label"), ("[]", ""),
    ])
    func `a selector that names nothing, or wrongly, is refused`(text: String, pointer: String) {
        let violation = #expect(throws: JSONViolation.self) { try read(text) }
        #expect(violation?.pointer == "/device" + pointer)
    }

    @Test func `labels have bounds in number and length`() throws {
        func labels(_ count: Int) -> String { "{" + (0..<count).map { #""l\#($0)":"v""# }.joined(separator: ",") + "}" }
        #expect(try Labels.read(node(labels(Limits.maxDeviceLabels)), at: "").count == Limits.maxDeviceLabels)
        #expect(throws: JSONViolation.self) { try Labels.read(node(labels(Limits.maxDeviceLabels + 1)), at: "") }
        let value = String(repeating: "v", count: 129)
        #expect(throws: JSONViolation.self) { try Labels.read(node(#"{"a":"\#(value)"}"#), at: "") }
        #expect(throws: JSONViolation.self) { try Labels.read(node(#"{"\#(value.prefix(65))":"x"}"#), at: "") }
        #expect(try Labels.read(node(Labels.json(["b": "2", "a": "1"]).string), at: "") == ["a": "1", "b": "2"])
    }
}
