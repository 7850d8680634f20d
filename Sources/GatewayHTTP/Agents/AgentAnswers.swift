import Domain
import JSON
import Storage

extension AgentRecord {
    func write(to writer: inout JSONWriter) {
        writer.field("agentId", string: agentID.description)
        writer.field("name", string: name)
        writer.field("description", stringOrNull: description)
        writer.field("currentVersionId", stringOrNull: currentVersionID?.description)
        writer.field("createdAt", time: createdAt)
        writer.field("updatedAt", time: updatedAt)
    }
}

extension AgentVersionRecord {
    /// The config, which may be large, is left out of lists.
    func write(to writer: inout JSONWriter, withConfig: Bool) {
        writer.field("versionId", string: versionID.description)
        writer.field("agentId", string: agentID.description)
        writer.field("version", string: version)
        writer.field("configHash", string: configHash)
        writer.field("metadata", rawIfPresent: metadata)
        writer.field("createdAt", time: createdAt)
        if withConfig { writer.field("config", raw: config) }
    }
}
