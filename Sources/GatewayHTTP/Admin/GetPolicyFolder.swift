import Domain
import Hummingbird
import JSON
import Runtime

/// `GET /api/admin/policies`: the operator's folder as this replica has read it: files, hashes, and why the folder as it is now is not in
/// force, where it is not.
struct GetPolicyFolder: AdminOperation {
    let gateway: Gateway

    func handle(_ request: Request, _ context: AdminContext) async throws -> Response {
        try QueryReader.refuseAny(request)
        let status = gateway.policies.status
        return Answer.object(capacity: 2048) { writer in
            writer.field("hash", string: status.hash)
            writer.field("rules", int: status.rules)
            writer.field("loadedAt", time: status.loadedAt)
            writer.field("readAt", time: status.readAt)
            writer.field("replicaId", string: gateway.replicaID.description)
            writer.key("files")
            writer.beginArray()
            for file in status.files {
                writer.beginObject()
                writer.field("name", string: file.name)
                writer.field("hash", string: file.hash)
                writer.field("rules", int: file.rules)
                writer.endObject()
            }
            writer.endArray()
            writer.key("errors")
            writer.beginArray()
            for fault in status.faults {
                writer.beginObject()
                writer.field("file", stringIfPresent: fault.file)
                writer.field("line", intIfPresent: fault.line)
                writer.field("message", string: fault.message)
                writer.endObject()
            }
            writer.endArray()
        }
    }
}
