import Domain
import HsafaClient
import JSON

/// An agent's config on disk.
struct AgentFile {
    static let maxBytes = Limits.maxConfigBytes
    static let nameRule = Names.rule

    let config: RawJSON
    let root: JSONNode
    /// `/agent/name`.
    let name: String
    let description: String?

    /// Reads JSON and the name; whether the rest is right is for `check()` or the gateway.
    init(path: String) throws {
        let bytes = try PrivateFile.read(path, maxBytes: Self.maxBytes)
        do {
            let document = try JSONDocument(parsing: bytes)
            config = RawJSON(trusted: bytes)
            root = document.root
        } catch {
            throw Failure("\(path) is not JSON: \(error)")
        }
        guard let name = root["agent"]?["name"]?.string else { throw Failure("\(path): /agent/name: is required") }
        self.name = name
        description = root["agent"]?["description"]?.string
    }

    static func isValidName(_ name: String) -> Bool { Names.isValid(name) }

    /// The gateway's own reading of a config, and what it says in a line.
    static func check(_ root: JSONNode) throws(JSONViolation) -> String {
        let config = try AgentConfig(reading: root)
        try config.checkNew()
        return "agent “\(config.agentName)”, model \(config.model.provider)/\(config.model.name), \(config.tools.count) tools"
    }
}

/// The gateway's rules for tools, which a device's file keeps too.
enum ToolRules {
    static let maxTools = Limits.maxDeviceTools

    static func readName(from reader: inout JSONObjectReader) throws(JSONViolation) -> String {
        try Names.read("name", from: &reader)
    }
}
