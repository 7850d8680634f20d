import Domain
import HTTPTypes
import Hummingbird
import JSON
import NIOCore
import Runtime
import Storage

/// A POST that creates. It is three parts, so that it can be carried out once under an `Idempotency-Key`: reading, which writes
/// nothing; creating, which writes through the database it is given and does nothing else; and what follows the commit.
///
/// A POST that does not create is an `Operation`; a tidy test knows each of those, with its reason.
protocol CreatingOperation: Sendable {
    /// Whose request it is: a tenant's (`AuthenticatedContext`) or an admin's.
    associatedtype Context: CreatorContext
    /// What is to be created, checked as far as that goes without the database.
    associatedtype Draft: Sendable
    associatedtype Created: Sendable

    static var audit: AuditRule { get }
    static var deprecation: Deprecation? { get }
    init(gateway: Gateway)

    /// Throws 404 where the thing that the path names does not exist; asked before a body that is wrong is told to be so.
    func requireParent(_ context: Context) async throws
    /// What is slow and writes nothing, such as hashing a secret, belongs here as well: no transaction is open yet.
    func read(_ request: CreationRequest, _ context: Context) async throws -> Draft
    /// The tenant that will own what is created, and the key's record with it: known before anything is read, so that a repetition
    /// is found without doing any of the work again.
    func home(_ context: Context) async throws -> TenantScope
    /// May be one part of a larger transaction. A failure of this operation is thrown, so that nothing stays of it.
    func create(_ draft: Draft, in tenant: TenantDatabase, _ context: Context) async throws -> Created
    func answer(_ created: Created) -> CreationAnswer
    /// After the commit: who must hear of it.
    func committed(_ created: Created)
}

/// What carrying out a creation asks of whoever wants it.
protocol CreatorContext: Sendable {
    var principal: Principal { get }
    var requestID: String { get }
}

extension AuthenticatedContext: CreatorContext {}

extension AdminContext: CreatorContext {
    var principal: Principal { admin.principal }
}

extension CreatingOperation where Context == AuthenticatedContext {
    func home(_ context: Context) -> TenantScope { context.scope }
}

extension CreatingOperation {
    func requireParent(_ context: Context) async throws {}
    func committed(_ created: Created) {}
}

/// A creating request with its whole body.
struct CreationRequest: Sendable {
    let head: HTTPRequest
    let bytes: [UInt8]

    /// 415 or 400 when it is none.
    func json() throws(GatewayError) -> JSONDocument {
        try JSONBody.requireJSON(head.headerFields)
        return try JSONBody.document(bytes)
    }

    /// nil when there is no body.
    func jsonIfPresent() throws(GatewayError) -> JSONDocument? { bytes.isEmpty ? nil : try json() }
}

extension Answer {
    /// One object, as an answer that can be kept.
    /// - Parameter secretID: what was created, where the object holds a secret.
    static func creation(
        _ status: HTTPResponse.Status = .created, location: String? = nil, secretID: String? = nil, _ build: (inout JSONWriter) -> Void
    ) -> CreationAnswer {
        var writer = JSONWriter(capacity: 512)
        writer.beginObject()
        build(&writer)
        writer.endObject()
        return CreationAnswer(status: status.code, location: location, body: RawJSON(trusted: writer.bytes), secretID: secretID)
    }
}

extension CreationAnswer {
    func response() -> Response {
        var headers = Answer.jsonHeaders
        if let location { headers[.location] = location }
        return Response(
            status: HTTPResponse.Status(code: status), headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: body.bytes)))
    }
}
