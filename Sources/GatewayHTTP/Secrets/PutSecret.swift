import Domain
import HTTPTypes
import Hummingbird
import JSON
import Runtime
import Storage

/// `PUT /api/secrets/{name}` {value, hosts}: the whole secret, again as often as one likes. The value is never given back.
struct PutSecret: Operation {
    static let audit = AuditRule.logs([.secretSet])
    let gateway: Gateway

    func handle(_ request: Request, _ context: AuthenticatedContext) async throws -> Response {
        try QueryReader.refuseAny(request)
        let name = context.parameters["secretName"].map { String($0) } ?? ""
        let body = try await JSONBody.read(request, maxBytes: Limits.maxSecretBodyBytes)
        var reader = try JSONObjectReader(body.root)
        let value = try reader.string("value", maxBytes: Limits.maxSecretBytes)
        let hosts = try reader.strings("hosts", maxCount: Limits.maxSecretHosts)
        try reader.finish()
        let put = try await gateway.secrets.put(context.scope, name, value: value, hosts: hosts, by: context.author)
        return Answer.object(put.isNew ? .created : .ok, location: put.isNew ? "/api/secrets/\(name)" : nil) { writer in
            put.listing.write(to: &writer)
        }
    }
}

extension SecretListing {
    func write(to writer: inout JSONWriter) {
        writer.field("name", string: name)
        writer.field("hosts", strings: hosts)
        writer.field("createdAt", time: createdAt)
        writer.field("updatedAt", time: updatedAt)
    }
}
