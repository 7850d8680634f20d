import JSON

/// Agent configs of these tests.
enum Config {
    static func simulated(_ name: String, steps: [String], tools: [String] = [], maxSteps: Int? = nil) -> RawJSON {
        RawJSON(trusted: Array(text(name, steps: steps, tools: tools, maxSteps: maxSteps).utf8))
    }

    static func text(_ name: String, steps: [String], tools: [String] = [], maxSteps: Int? = nil) -> String {
        let loop = maxSteps.map { #","loop":{"maxSteps":\#($0)}"# } ?? ""
        return
            #"{"version":"1.0","agent":{"name":"\#(name)"},"model":{"provider":"simulated","script":{"steps":[\#(steps.joined(separator: ","))]}},"tools":[\#(tools.joined(separator: ","))]\#(loop)}"#
    }

    static let says = #"{"text":"Hello."}"#
    static let tellsResult = #"{"text":"It said {{lastToolResult}}"}"#
    /// A step that asks for tools, without arguments.
    static func calls(_ tools: String...) -> String {
        #"{"toolCalls":[\#(tools.map { #"{"name":"\#($0)","arguments":{}}"# }.joined(separator: ","))]}"#
    }

    static func browser(_ name: String, timeoutSeconds: Int = 120) -> String {
        #"{"name":"\#(name)","target":"browser","timeoutSeconds":\#(timeoutSeconds)}"#
    }

    static let device = #"{"name":"fs.read","target":"device","device":{"labels":{"zone":"lab"}},"timeoutSeconds":120}"#
    static let echo = #"{"name":"echo","executionType":"basic","execution":{"mode":"pass-through"}}"#
}
