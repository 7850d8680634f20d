import COpenSSL

/// FIPS 180-4.
public enum SHA256 {
    public static let byteCount = 32

    public static func hash(_ bytes: some Collection<UInt8>) -> [UInt8] {
        if let digest = bytes.withContiguousStorageIfAvailable({ hash(UnsafeRawBufferPointer($0)) }) { return digest }
        return Array(bytes).withUnsafeBytes { hash($0) }
    }

    private static func hash(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: byteCount) { digest, count in
            var length: UInt32 = 0
            // Fails only without memory or without a SHA-256 provider: there is no digest to go on with, and a wrong one would be worse.
            precondition(
                EVP_Digest(bytes.baseAddress, bytes.count, digest.baseAddress, &length, Algorithms.shared.sha256, nil) == 1
                    && length == byteCount, "OpenSSL has no SHA-256")
            count = byteCount
        }
    }
}

/// Fetched once: OpenSSL 3 looks an algorithm up by name anew at each `EVP_sha256()` use, which costs more than a short hash.
// @unchecked Sendable: both are immutable, reference counted by OpenSSL with atomics, and never freed.
struct Algorithms: @unchecked Sendable {
    let sha256: OpaquePointer
    let aes256GCM: OpaquePointer

    static let shared = Algorithms()

    private init() {
        guard let sha256 = EVP_MD_fetch(nil, "SHA256", nil), let aes256GCM = EVP_CIPHER_fetch(nil, "AES-256-GCM", nil) else {
            // Every deployment needs both from the first request on; this is a broken installation, not input.
            preconditionFailure("OpenSSL offers no SHA-256 or no AES-256-GCM")
        }
        self.sha256 = sha256
        self.aes256GCM = aes256GCM
    }
}
