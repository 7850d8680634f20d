import HsafaClient
import JSON

/// A device's tools: what it declares, and what it does when asked.
///
/// `{"tools":[{"name","description"?,"inputSchema"?, "readFile":{"root","maxBytes"?} | "run":{"command","timeoutSeconds"?,"maxOutputBytes"?}}]}`;
/// relative paths start at the file's own folder.
struct ToolFile: Sendable {
    enum Action: Sendable {
        case readFile(ReadFileTool)
        case command(CommandTool)
    }

    struct Tool: Sendable {
        let declaration: DeviceTool
        let action: Action
    }

    let tools: [Tool]

    init(path: String) throws {
        let bytes = try PrivateFile.read(path, maxBytes: 1 << 20)
        do {
            try self.init(JSONDocument(parsing: bytes).root, directory: Self.directory(of: path))
        } catch let error as JSONViolation {
            throw Failure("\(path): \(error.pointer): \(error.message)")
        } catch let error as JSONError {
            throw Failure("\(path) is not JSON: \(error)")
        }
    }

    init(_ root: JSONNode, directory: String) throws(JSONViolation) {
        var reader = try JSONObjectReader(root)
        let list = try reader.node("tools")
        try reader.finish()
        guard list.kind == .array, (1...ToolRules.maxTools).contains(list.count) else {
            throw JSONViolation(pointer: "/tools", message: "must be an array of 1 to \(ToolRules.maxTools) tools")
        }
        var tools: [Tool] = []
        for (index, element) in list.elements.enumerated() {
            let tool = try Self.read(element, at: "/tools/\(index)", directory: directory)
            guard !tools.contains(where: { $0.declaration.name == tool.declaration.name }) else {
                throw JSONViolation(pointer: "/tools/\(index)/name", message: "is the name of an earlier tool")
            }
            tools.append(tool)
        }
        self.tools = tools
    }

    static func directory(of path: String) -> String {
        path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    }

    func perform(_ call: DeviceToolCall) async -> ToolOutcome {
        guard let tool = tools.first(where: { $0.declaration.name == call.name }) else {
            return .error(code: "unknown_tool", message: "This device has no tool “\(call.name)”.")
        }
        guard let args = (try? call.args.document())?.root, args.kind == .object else {
            return .error(code: "bad_arguments", message: "The arguments must be an object.")
        }
        return switch tool.action {
        case .readFile(let tool): await tool.perform(args)
        case .command(let tool): await tool.perform(args)
        }
    }

    private static func read(_ node: JSONNode, at pointer: String, directory: String) throws(JSONViolation) -> Tool {
        var reader = try JSONObjectReader(node, at: pointer)
        let name = try ToolRules.readName(from: &reader)
        let description = try reader.optionalString("description", maxBytes: 8192)
        let schema = try reader.optionalNode("inputSchema")
        guard schema == nil || schema?.kind == .object else {
            throw JSONViolation(pointer: reader.pointer(to: "inputSchema"), message: "must be a JSON Schema object")
        }
        let readFile = try reader.optionalObject("readFile")
        let run = try reader.optionalObject("run")
        try reader.finish()
        let action: Action
        switch (readFile, run) {
        case (let settings?, nil): action = .readFile(try ReadFileTool(settings, directory: directory))
        case (nil, let settings?): action = .command(try CommandTool(settings, directory: directory))
        default: throw JSONViolation(pointer: pointer, message: "must have either “readFile” or “run”")
        }
        let declaration = DeviceTool(
            name: name, description: description, inputSchema: schema?.rawJSON ?? RawJSON("{\"type\":\"object\"}"))
        return Tool(declaration: declaration, action: action)
    }
}
