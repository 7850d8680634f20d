import Domain
import JSON
import Storage

extension AuditRecord {
    func write(to writer: inout JSONWriter, withTenant: Bool) {
        writer.field("auditId", string: auditID.description)
        if withTenant { writer.field("tenantId", string: tenantID.description) }
        writer.field("at", time: at)
        writer.field("action", string: action)
        writer.key("actor")
        writer.beginObject()
        writer.field("kind", string: actorKind)
        writer.field("id", string: actorID)
        writer.endObject()
        writer.key("target")
        writer.beginObject()
        writer.field("kind", string: targetKind)
        writer.field("id", string: targetID)
        writer.endObject()
        writer.field("address", stringIfPresent: address)
        writer.field("requestId", stringIfPresent: requestID)
        writer.field("details", rawIfPresent: details)
    }
}

extension QueryReader {
    /// `action`, `actor`, `target`, `from`, `to`.
    mutating func auditFilter() throws(GatewayError) -> AuditFilter {
        var filter = AuditFilter()
        filter.action = try choice("action", of: AuditAction.self)?.rawValue
        filter.actorID = string("actor")
        filter.targetID = string("target")
        filter.from = try time("from")
        filter.to = try time("to")
        return filter
    }
}
