import Domain
import JSON
import Runtime

/// Fields that the operations on keys take, of a tenant's own keys and of admins.
extension JSONObjectReader {
    mutating func keyRequest() throws(JSONViolation) -> KeyRequest {
        let name = try label("name", maxBytes: Limits.maxKeyNameBytes)
        let scopes = try scopes()
        return KeyRequest(name: name, scopes: scopes, expiresAt: try optionalTime("expiresAt"))
    }

    /// Text for people: not empty, on one line.
    mutating func label(_ key: String, maxBytes: Int) throws(JSONViolation) -> String {
        let text = try string(key, maxBytes: maxBytes)
        guard !text.isEmpty, !text.unicodeScalars.contains(where: { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) }) else {
            throw JSONViolation(pointer: pointer(to: key), message: "must be text without control characters")
        }
        return text
    }

    private mutating func scopes() throws(JSONViolation) -> [Scope] {
        let texts = try strings("scopes", maxCount: Scope.allCases.count, maxBytes: 64)
        var scopes: [Scope] = []
        for (index, text) in texts.enumerated() {
            guard let scope = Scope(rawValue: text) else {
                let known = Scope.allCases.map(\.rawValue).joined(separator: ", ")
                throw JSONViolation(pointer: "\(pointer(to: "scopes"))/\(index)", message: "is no scope; they are \(known)")
            }
            guard !scopes.contains(scope) else {
                throw JSONViolation(pointer: "\(pointer(to: "scopes"))/\(index)", message: "is there twice")
            }
            scopes.append(scope)
        }
        guard !scopes.isEmpty else { throw JSONViolation(pointer: pointer(to: "scopes"), message: "must name at least one scope") }
        return scopes
    }

    mutating func optionalTime(_ key: String) throws(JSONViolation) -> Timestamp? {
        guard let text = try optionalString(key, maxBytes: 64) else { return nil }
        guard let time = Timestamp(rfc3339: text) else {
            throw JSONViolation(pointer: pointer(to: key), message: "must be an RFC 3339 time, such as 2026-01-31T09:30:00Z")
        }
        return time
    }
}

/// What a rotation may be told; without a body it is the default overlap and the same expiry.
struct KeyRotation {
    let overlapSeconds: Int
    let expiresAt: Timestamp?

    init(_ body: JSONDocument?) throws {
        guard let body else {
            (overlapSeconds, expiresAt) = (Limits.defaultKeyOverlapSeconds, nil)
            return
        }
        var reader = try JSONObjectReader(body.root)
        overlapSeconds = try reader.optionalInt("overlapSeconds", in: 0...Limits.maxKeyOverlapSeconds) ?? Limits.defaultKeyOverlapSeconds
        expiresAt = try reader.optionalTime("expiresAt")
        try reader.finish()
    }
}
