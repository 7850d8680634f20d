import Domain
import HTTPTypes
import Hummingbird
import JSON
import Runtime
import Storage

extension APIKeyListing {
    func write(to writer: inout JSONWriter) {
        writer.field("keyId", string: keyID.description)
        writer.field("prefix", string: "\(CredentialToken.Kind.apiKey.rawValue)_\(publicID)")
        writer.field("name", string: name)
        writer.field("scopes", strings: scopes.map(\.rawValue))
        if isAdmin { writer.field("admin", bool: true) }
        writer.field("status", string: status().rawValue)
        writer.field("createdAt", time: createdAt)
        writer.field("expiresAt", timeIfPresent: expiresAt)
        writer.field("lastUsedAt", timeIfPresent: lastUsedAt)
        writer.field("rotatedAt", timeIfPresent: rotatedAt)
        writer.field("previousExpiresAt", timeIfPresent: previousExpiresAt)
        writer.field("revokedAt", timeIfPresent: revokedAt)
    }
}

extension IssuedKey {
    /// The one answer that holds the key's text.
    func answer(_ status: HTTPResponse.Status, location: String? = nil) -> CreationAnswer {
        Answer.creation(status, location: location, secretID: listing.keyID.description) { writer in
            writer.field("key", string: text)
            listing.write(to: &writer)
        }
    }
}
