import Domain
import HTTPTypes
import Hummingbird
import JSON
import Storage

extension TenantRecord {
    func write(to writer: inout JSONWriter) {
        writer.field("tenantId", string: tenantID.description)
        writer.field("slug", string: slug)
        writer.field("name", string: name)
        writer.field("status", string: status.rawValue)
        writer.field("createdAt", time: createdAt)
        writer.field("limits", raw: limits.json)
    }

    func answer(_ status: HTTPResponse.Status = .ok, location: String? = nil) -> Response {
        Answer.object(status, location: location) { writer in write(to: &writer) }
    }
}

extension AdminContext {
    /// The id in the path. What is no UUID names no tenant.
    func tenantID() throws(GatewayError) -> TenantID { try parameters.id("tenantId", "tenant", as: TenantID.self) }
}
