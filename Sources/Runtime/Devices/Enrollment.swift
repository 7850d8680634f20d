import Cryptography
public import Domain
public import JSON
public import Storage

/// `POST /devices/enroll`: the token, the key that the device keeps, and the proof that it has it.
public struct EnrollmentRequest: Sendable {
    public let token: String
    /// Ed25519, base64url without padding.
    public let publicKey: String
    public let deviceKey: String
    public let displayName: String?
    public let platform: String?
    /// `{tools:[…]}`; also told at each connect.
    public let capabilities: JSONNode?
    /// Over `DeviceProof.enrollment`, base64url without padding.
    public let signature: String

    public init(
        token: String, publicKey: String, deviceKey: String, displayName: String?, platform: String?, capabilities: JSONNode?,
        signature: String
    ) {
        self.token = token
        self.publicKey = publicKey
        self.deviceKey = deviceKey
        self.displayName = displayName
        self.platform = platform
        self.capabilities = capabilities
        self.signature = signature
    }
}

extension DeviceService {
    public func createEnrollmentToken(
        in tenant: TenantDatabase, labels: [String: String], allowedTools: [String]?, autoApprove: Bool, deviceKey: String?,
        expiresSeconds: Int?, by author: ChangeAuthor
    ) async throws -> EnrollmentTokenIssued {
        let seconds = expiresSeconds ?? Limits.defaultEnrollmentSeconds
        guard (1...Limits.maxEnrollmentSeconds).contains(seconds) else {
            throw DeviceFields.invalid("expiresSeconds", "must be 1 to \(Limits.maxEnrollmentSeconds)")
        }
        try DeviceFields.checkGlobs(allowedTools)
        if let deviceKey { _ = try DeviceFields.deviceKey(deviceKey) }
        let token = CredentialToken.generate(.enrollment)
        let expiresAt = try await tenant.changes(by: author).insertEnrollmentToken(
            .generate(), publicID: token.id, secretHash: SHA256.hash(token.text.utf8),
            grant: EnrollmentGrant(labels: labels, allowedTools: allowedTools, isAutoApproved: autoApprove, deviceKey: deviceKey),
            expiresSeconds: seconds)
        return EnrollmentTokenIssued(tokenID: token.id, token: token.text, audience: configuration.publicURL, expiresAt: expiresAt)
    }

    /// Public: the token is the credential, and a token is spent by its first success. 401 for a wrong token or proof, 403 for
    /// another device's token or a suspended tenant, 409 when token or device key are taken, 410 when the token has expired, 429 when too many
    /// wrong ones came from `address`.
    ///
    /// - Parameters:
    ///   - address: the device's, for the audit log and for the count of failures; nil: those without one share a count.
    public func enroll(
        _ request: EnrollmentRequest, address: IPAddress? = nil, requestID: String? = nil
    ) async throws -> (DeviceRecord, created: Bool) {
        if let seconds = failures.wait(address) { throw GatewayError.tooManyFailures(retryAfterSeconds: seconds) }
        do { return try await enrollOnce(request, address: address?.description, requestID: requestID) } catch {
            if (error as? GatewayError)?.status == 401 { failures.failed(address) }
            throw error
        }
    }

    private func enrollOnce(
        _ request: EnrollmentRequest, address: String?, requestID: String?
    ) async throws -> (DeviceRecord, created: Bool) {
        guard let token = CredentialToken(request.token, kind: .enrollment),
            let record = try await database.enrollmentToken(publicID: token.id),
            constantTimeEquals(record.secretHash, SHA256.hash(token.text.utf8))
        else {
            throw GatewayError(
                status: 401, code: "invalid_token", detail: "This is no enrolment token of this gateway; ask for a new one.")
        }
        guard !record.isTenantSuspended else { throw GatewayError.tenantSuspended }
        let publicKey = try DeviceFields.publicKey(request.publicKey)
        let deviceKey = try DeviceFields.deviceKey(request.deviceKey)
        let capabilities: DeviceCapabilities
        do { capabilities = try DeviceCapabilities(reading: request.capabilities, at: "/capabilities") } catch {
            throw GatewayError.invalidBody(error)
        }
        let claim = EnrollmentClaim(
            publicKey: publicKey, deviceKey: deviceKey, displayName: try DeviceFields.text(request.displayName, "displayName"),
            platform: try DeviceFields.text(request.platform, "platform"), capabilities: capabilities)
        try verify(request, token, publicKey)
        let author = ChangeAuthor(
            kind: .enrollmentToken, id: record.tokenID.description, address: address, requestID: requestID)
        let answer = try await database.tenant(record.scope).changes(by: author).enroll(
            .generate(), token: record.tokenID, claim, onlineSeconds: onlineSeconds)
        return try Self.answer(answer, deviceKey: deviceKey)
    }

    /// Before the token is spent: a broken device must not use it up.
    private func verify(_ request: EnrollmentRequest, _ token: CredentialToken, _ publicKey: [UInt8]) throws {
        let proof = DeviceProof.enrollment(
            audience: configuration.publicURL, tokenID: token.id, publicKey: request.publicKey, deviceKey: request.deviceKey)
        guard let signature = Base64URL.decode(request.signature), let key = try? Ed25519.PublicKey(rawRepresentation: publicKey),
            key.isValid(signature: signature, for: proof)
        else {
            throw GatewayError(
                status: 401, code: "invalid_signature",
                detail: "The signature is not this key's over the lines hsafa.device.enroll.v1, audience, tokenId, publicKey, deviceKey.")
        }
    }

    private static func answer(_ answer: EnrollmentAnswer, deviceKey: String) throws -> (DeviceRecord, created: Bool) {
        switch answer {
        case .enrolled(let device): return (device, true)
        case .known(let device): return (device, false)
        case .spent:
            throw GatewayError.conflict("token_spent", "Another device has used this enrolment token; ask for a new one.")
        case .expired:
            throw GatewayError(status: 410, code: "token_expired", detail: "This enrolment token has expired; ask for a new one.")
        case .keyTaken: throw DeviceFields.keyTaken(deviceKey)
        case .keyMismatch:
            throw GatewayError(
                status: 403, code: "device_key_mismatch", detail: "This enrolment token is for a device with another deviceKey.")
        }
    }
}

/// Checks of what a device is called, shared by enrolment and registration.
enum DeviceFields {
    static func invalid(_ field: String, _ message: String) -> GatewayError {
        .invalidBody(JSONViolation(pointer: "/\(field)", message: message))
    }

    static func keyTaken(_ deviceKey: String) -> GatewayError {
        .conflict("device_key_taken", "Another device is called \(deviceKey); choose another deviceKey, or revoke that device first.")
    }

    static func deviceKey(_ text: String) throws(GatewayError) -> String {
        guard DeviceProof.isValidDeviceKey(text) else {
            throw invalid("deviceKey", "must be 1 to 128 visible ASCII characters without spaces")
        }
        return text
    }

    static func publicKey(_ text: String) throws(GatewayError) -> [UInt8] {
        guard let bytes = Base64URL.decode(text), (try? Ed25519.PublicKey(rawRepresentation: bytes)) != nil else {
            throw invalid("publicKey", "must be the 32 bytes of an Ed25519 public key in base64url without padding")
        }
        return bytes
    }

    static func text(_ text: String?, _ field: String) throws(GatewayError) -> String? {
        guard let text else { return nil }
        guard text.utf8.count <= 128, !text.utf8.contains(where: { $0 < 0x20 }) else {
            throw invalid(field, "must be at most 128 bytes without control characters")
        }
        return text
    }

    static func checkGlobs(_ globs: [String]?) throws(GatewayError) {
        guard let globs else { return }
        guard globs.count <= Limits.maxDeviceTools, globs.allSatisfy({ !$0.isEmpty && $0.utf8.count <= 128 }) else {
            throw invalid("allowedTools", "must be at most \(Limits.maxDeviceTools) patterns of 1 to 128 bytes")
        }
    }
}
