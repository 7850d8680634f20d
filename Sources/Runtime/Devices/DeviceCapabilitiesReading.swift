import Domain
import JSON
import Storage

extension DeviceCapabilities {
    /// `{tools:[{name, description?, inputSchema?}]}`, bounded. Stored in canonical form, which has no duplicate keys, no `\u0000`
    /// and no number that a double cannot hold.
    init(reading node: JSONNode?, at pointer: String) throws(JSONViolation) {
        guard let node else {
            self = .none
            return
        }
        var reader = try JSONObjectReader(node, at: pointer)
        let tools = try reader.node("tools")
        let list = reader.pointer(to: "tools")
        try reader.finish()
        guard tools.kind == .array else { throw JSONViolation(pointer: list, message: "must be an array of tools") }
        guard tools.count <= Limits.maxDeviceTools else {
            throw JSONViolation(pointer: list, message: "must have at most \(Limits.maxDeviceTools) tools")
        }
        var names: [String] = []
        var seen: Set<String> = []
        for (index, tool) in tools.elements.enumerated() {
            let name = try Self.readTool(tool, at: "\(list)/\(index)")
            guard seen.insert(name).inserted else {
                throw JSONViolation(pointer: "\(list)/\(index)/name", message: "is the name of an earlier tool")
            }
            names.append(name)
        }
        let canonical: [UInt8]
        do { canonical = try node.canonical() } catch {
            throw JSONViolation(pointer: pointer, message: "cannot be stored: \(error)")
        }
        self.init(json: RawJSON(trusted: canonical), toolNames: names)
    }

    private static func readTool(_ node: JSONNode, at pointer: String) throws(JSONViolation) -> String {
        var tool = try JSONObjectReader(node, at: pointer)
        let name = try tool.string("name", maxBytes: Limits.maxNameBytes)
        _ = try tool.optionalString("description", maxBytes: Limits.maxDescriptionBytes)
        if let schema = try tool.optionalNode("inputSchema"), schema.kind != .object, schema.kind != .bool {
            throw JSONViolation(pointer: tool.pointer(to: "inputSchema"), message: "must be a JSON Schema")
        }
        try tool.finish()
        guard !name.isEmpty, name.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
            throw JSONViolation(pointer: pointer + "/name", message: "must be 1 to \(Limits.maxNameBytes) bytes without spaces")
        }
        return name
    }
}
