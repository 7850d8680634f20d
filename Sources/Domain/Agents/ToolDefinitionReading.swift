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
        let execution = ToolExecution(
            type: executionType, node: try reader.optionalNode("execution"), pointer: pointer,
            executionPointer: reader.pointer(to: "execution"))
        (target, serverKind, external) = try execution.resolve(given)
        let devicePointer = reader.pointer(to: "device")
        let deviceNode = try reader.optionalNode("device")
        switch (target, deviceNode) {
        case (.device, let deviceNode?): device = try DeviceSelector(reading: deviceNode, at: devicePointer)
        case (.device, nil): throw JSONViolation(pointer: devicePointer, message: "is required: name the device by id, key or labels")
        case (_, nil): device = nil
        case (_, .some): throw JSONViolation(pointer: devicePointer, message: "belongs to tools with target device only")
        }
        // A timer's own time is its bound; policy's and a config's may be shorter.
        let seconds = if case .waiting = serverKind { Limits.maxWaitingSeconds } else { Limits.defaultToolSeconds }
        timeoutSeconds = try reader.optionalInt("timeoutSeconds", in: 1...Limits.maxToolSeconds) ?? seconds
        try reader.finish()
    }

    /// What is read where it is stored already, and refused where it is new: it could never work. Versions outlive the build that took them.
    func checkNew(at pointer: String) throws(JSONViolation) {
        guard case .waiting(let waiting) = serverKind, let wait = waiting.seconds, wait > timeoutSeconds else { return }
        throw JSONViolation(
            pointer: pointer + "/execution/seconds", message: "must be at most timeoutSeconds, which is \(timeoutSeconds)")
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
}

/// `executionType` and `execution` of a tool: where it runs, and how.
private struct ToolExecution {
    typealias Resolved = (target: ToolTarget, kind: ServerToolKind?, external: ExternalEndpoint?)

    let type: String?
    let node: JSONNode?
    let pointer: String
    let executionPointer: String

    static let types = ["basic", "request", "compute", "waiting", "ai-agent"]

    func resolve(_ target: ToolTarget?) throws(JSONViolation) -> Resolved {
        let implied = try self.implied(target)
        guard target == nil || target == implied.target else {
            throw JSONViolation(
                pointer: pointer + "/target", message: "must be \(implied.target.rawValue), which executionType and execution imply")
        }
        return implied
    }

    private func implied(_ target: ToolTarget?) throws(JSONViolation) -> Resolved {
        switch type {
        case nil: return try untyped(target)
        case "basic": return try basic()
        case "request": return (.server, .request(try RequestTool(reading: try execution(), at: executionPointer)), nil)
        case "compute": return (.server, .compute(try expression()), nil)
        case "waiting": return (.server, .waiting(try WaitingTool(reading: try execution(), at: executionPointer)), nil)
        case "ai-agent": return (.server, .agent(try AgentTool(reading: try execution(), at: executionPointer)), nil)
        case "image-generator":
            throw JSONViolation(
                pointer: pointer + "/executionType",
                message: "names a kind of tool that this version cannot run; it can run \(Self.types.joined(separator: ", "))")
        default:
            throw JSONViolation(pointer: pointer + "/executionType", message: "must be one of \(Self.types.joined(separator: ", "))")
        }
    }

    private func untyped(_ target: ToolTarget?) throws(JSONViolation) -> Resolved {
        guard let target else {
            throw JSONViolation(pointer: pointer, message: "must say where the tool runs: target or executionType")
        }
        guard target != .server else { throw JSONViolation(pointer: pointer + "/executionType", message: "is required for target server") }
        guard let node else { return (target, nil, nil) }
        guard target == .external else { throw JSONViolation(pointer: executionPointer, message: "must be absent for this target") }
        return (.external, nil, try ExternalEndpoint(reading: node, at: executionPointer))
    }

    private func execution() throws(JSONViolation) -> JSONNode {
        guard let node else { throw JSONViolation(pointer: executionPointer, message: "is required for this executionType") }
        return node
    }

    private func expression() throws(JSONViolation) -> ComputeExpression {
        var reader = try JSONObjectReader(try execution(), at: executionPointer)
        let text = try reader.string("expression", maxBytes: Limits.maxExpressionBytes)
        let place = reader.pointer(to: "expression")
        try reader.finish()
        do throws(ComputeError) { return try ComputeExpression(text) } catch {
            throw JSONViolation(pointer: place, message: "cannot be read: \(error)")
        }
    }

    private func basic() throws(JSONViolation) -> Resolved {
        guard let node else { return (.browser, nil, nil) }
        var reader = try JSONObjectReader(node, at: executionPointer)
        let mode = try reader.optionalString("mode", maxBytes: 32) ?? "no-execution"
        let output = try reader.optionalNode("output")
        try reader.finish()
        switch mode {
        case "no-execution": return (.browser, nil, nil)
        case "pass-through": return (.server, .passThrough, nil)
        case "static":
            guard let output else { throw JSONViolation(pointer: executionPointer + "/output", message: "is required for mode static") }
            return (.server, .static(output.rawJSON), nil)
        default:
            throw JSONViolation(pointer: executionPointer + "/mode", message: "must be no-execution, static or pass-through")
        }
    }
}
