import COpenSSL

/// RFC 2104 with SHA-256.
public enum HMACSHA256 {
    /// 32 bytes. Compare with `constantTimeEquals`.
    public static func authenticate(_ message: [UInt8], key: [UInt8]) -> [UInt8] {
        // A nil key pointer would mean "the key of the call before" to OpenSSL: an empty key still needs an address.
        let keyOrPad = key.isEmpty ? [0] : key
        return [UInt8](unsafeUninitializedCapacity: SHA256.byteCount) { tag, count in
            var length = 0
            let done = EVP_Q_mac(
                nil, "HMAC", nil, "SHA256", nil, keyOrPad, key.count, message, message.count, tag.baseAddress, SHA256.byteCount,
                &length)
            // As for SHA-256: fails only without memory or provider.
            precondition(done != nil && length == SHA256.byteCount, "OpenSSL has no HMAC-SHA-256")
            count = SHA256.byteCount
        }
    }
}
