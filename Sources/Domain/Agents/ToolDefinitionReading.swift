import JSON
import JSONSchema

extension ToolDefinition {
    /// `{name, description?, inputSchema, target | executionType, execution?, device?, timeoutSeconds?}`.
    init(reading node: JSONNode, at pointer: String) throws(JSONViolation) {
        var reader = try JSONObjectReader(node, at: pointer)
        name = try Names.read("name", from: &reader)
        description = try reader.optionalString("description", maxBytes: 8192)
        arguments = try Self.readSchema(&reader)
        let given = try Self.readTarget(&reader)
        let executionType = try reader.optionalString("executionType", maxBytes: 32)
        let executionPointer = reader.pointer(to: "execution")
        let execution = try reader.optionalNode("execution")
        (target, serverKind) = try Self.resolve(
            target: given, executionType: executionType, execution: execution, pointer: pointer, executionPointer: executionPointer)
        let devicePointer = reader.pointer(to: "device")
        let deviceNode = try reader.optionalNode("device")
        switch (target, deviceNode) {
        case (.device, let deviceNode?): device = try DeviceSelector(reading: deviceNode, at: devicePointer)
        case (.device, nil): throw JSONViolation(pointer: devicePointer, message: "is required: name the device by id, key or labels")
        case (_, nil): device = nil
        case (_, .some): throw JSONViolation(pointer: devicePointer, message: "belongs to tools with target device only")
        }
        timeoutSeconds = try reader.optionalInt("timeoutSeconds", in: 1...Limits.maxToolSeconds) ?? Limits.defaultToolSeconds
        try reader.finish()
    }

    private static func readSchema(_ reader: inout JSONObjectReader) throws(JSONViolation) -> ArgumentsSchema {
        let schema = try reader.optionalNode("inputSchema")
        let pointer = reader.pointer(to: "inputSchema")
        guard schema == nil || schema?.kind == .object else {
            throw JSONViolation(pointer: pointer, message: "must be a JSON Schema object")
        }
        do throws(JSONSchemaError) { return try ArgumentsSchema(schema?.rawJSON ?? RawJSON("{\"type\":\"object\"}")) } catch {
            throw JSONViolation(pointer: pointer + error.pointer, message: error.message)
        }
    }

    private static func readTarget(_ reader: inout JSONObjectReader) throws(JSONViolation) -> ToolTarget? {
        guard let text = try reader.optionalString("target", maxBytes: 16) else { return nil }
        guard let target = ToolTarget(rawValue: text) else {
            throw JSONViolation(pointer: reader.pointer(to: "target"), message: "must be server, device, browser or external")
        }
        return target
    }

    private static func resolve(
        target: ToolTarget?, executionType: String?, execution: JSONNode?, pointer: String, executionPointer: String
    ) throws(JSONViolation) -> (ToolTarget, ServerToolKind?) {
        let implied: (ToolTarget, ServerToolKind?)
        switch executionType {
        case nil where target == nil:
            throw JSONViolation(pointer: pointer, message: "must say where the tool runs: target or executionType")
        case nil:
            guard execution == nil else {
                throw JSONViolation(
                    pointer: executionPointer,
                    message: target == .external
                        ? "must be absent: external tools are answered over POST /api/runs/{runId}/tool-results in this version"
                        : "must be absent for this target")
            }
            guard target != .server else {
                throw JSONViolation(pointer: pointer + "/executionType", message: "is required for target server")
            }
            return (target ?? .browser, nil)
        case "basic": implied = try basic(execution, at: executionPointer)
        case "request", "compute", "waiting", "ai-agent", "image-generator":
            throw JSONViolation(
                pointer: pointer + "/executionType", message: "names a kind of tool that this version cannot run; it can run basic")
        default:
            throw JSONViolation(pointer: pointer + "/executionType", message: "must be basic")
        }
        guard target == nil || target == implied.0 else {
            throw JSONViolation(
                pointer: pointer + "/target", message: "must be \(implied.0.rawValue), which executionType and execution imply")
        }
        return implied
    }

    private static func basic(_ execution: JSONNode?, at pointer: String) throws(JSONViolation) -> (ToolTarget, ServerToolKind?) {
        guard let execution else { return (.browser, nil) }
        var reader = try JSONObjectReader(execution, at: pointer)
        let mode = try reader.optionalString("mode", maxBytes: 32) ?? "no-execution"
        let output = try reader.optionalNode("output")
        try reader.finish()
        switch mode {
        case "no-execution": return (.browser, nil)
        case "pass-through": return (.server, .passThrough)
        case "static":
            guard let output else { throw JSONViolation(pointer: pointer + "/output", message: "is required for mode static") }
            return (.server, .static(output.rawJSON))
        default: throw JSONViolation(pointer: pointer + "/mode", message: "must be no-execution, static or pass-through")
        }
    }
}
