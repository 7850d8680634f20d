import COpenSSL

/// RFC 8032, pure Ed25519.
public enum Ed25519 {
    public struct PrivateKey: Sendable {
        private let key: KeyHandle
        /// The 32 byte seed.
        public let rawRepresentation: [UInt8]
        public let publicKey: PublicKey

        public init() throws(CryptographyError) {
            try self.init(rawRepresentation: SecureRandom.bytes(32))
        }

        public init(rawRepresentation: [UInt8]) throws(CryptographyError) {
            guard rawRepresentation.count == 32 else {
                throw CryptographyError(operation: "Ed25519 private key", detail: "must be 32 bytes, is \(rawRepresentation.count)")
            }
            guard let raw = EVP_PKEY_new_raw_private_key_ex(nil, "ED25519", nil, rawRepresentation, 32) else {
                throw CryptographyError.last("Ed25519 private key")
            }
            key = KeyHandle(raw)
            var publicBytes = [UInt8](repeating: 0, count: 32)
            var count = 32
            guard EVP_PKEY_get_raw_public_key(raw, &publicBytes, &count) == 1, count == 32 else {
                throw CryptographyError.last("Ed25519 public key")
            }
            self.rawRepresentation = rawRepresentation
            publicKey = try PublicKey(rawRepresentation: publicBytes)
        }

        /// 64 bytes.
        public func sign(_ message: [UInt8]) throws(CryptographyError) -> [UInt8] {
            guard let context = EVP_MD_CTX_new() else { throw CryptographyError.last("Ed25519 signature") }
            defer { EVP_MD_CTX_free(context) }
            var signature = [UInt8](repeating: 0, count: 64)
            var count = 64
            guard EVP_DigestSignInit_ex(context, nil, nil, nil, nil, key.pointer, nil) == 1,
                EVP_DigestSign(context, &signature, &count, message, message.count) == 1, count == 64
            else { throw CryptographyError.last("Ed25519 signature") }
            return signature
        }
    }

    public struct PublicKey: Sendable, Equatable {
        private let key: KeyHandle
        /// 32 bytes.
        public let rawRepresentation: [UInt8]

        public init(rawRepresentation: [UInt8]) throws(CryptographyError) {
            guard rawRepresentation.count == 32 else {
                throw CryptographyError(operation: "Ed25519 public key", detail: "must be 32 bytes, is \(rawRepresentation.count)")
            }
            guard let raw = EVP_PKEY_new_raw_public_key_ex(nil, "ED25519", nil, rawRepresentation, 32) else {
                throw CryptographyError.last("Ed25519 public key")
            }
            key = KeyHandle(raw)
            self.rawRepresentation = rawRepresentation
        }

        /// False for anything but a valid signature, whatever is wrong with it.
        public func isValid(signature: [UInt8], for message: [UInt8]) -> Bool {
            guard signature.count == 64, let context = EVP_MD_CTX_new() else { return false }
            defer {
                EVP_MD_CTX_free(context)
                ERR_clear_error()
            }
            return EVP_DigestVerifyInit_ex(context, nil, nil, nil, nil, key.pointer, nil) == 1
                && EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
        }

        public static func == (first: PublicKey, second: PublicKey) -> Bool {
            first.rawRepresentation == second.rawRepresentation
        }
    }
}

/// Owns one EVP_PKEY.
// @unchecked Sendable: an EVP_PKEY that is only signed or verified with is read-only, and OpenSSL locks its inner caches.
private final class KeyHandle: @unchecked Sendable {
    let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) { self.pointer = pointer }

    deinit { EVP_PKEY_free(pointer) }
}
