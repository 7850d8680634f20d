import COpenSSL

/// NIST SP 800-38D with a 256 bit key. Sealed layout: nonce (12) ‖ ciphertext ‖ tag (16).
public enum AES256GCM {
    public static let keyBytes = 32
    static let nonceBytes = 12
    static let tagBytes = 16

    /// Under a fresh random nonce: one key may seal 2³² messages (SP 800-38D §8.3).
    public static func seal(
        _ plaintext: [UInt8], key: [UInt8], authenticating: [UInt8] = []
    ) throws(CryptographyError) -> [UInt8] {
        try seal(plaintext, key: key, nonce: SecureRandom.bytes(nonceBytes), authenticating: authenticating)
    }

    /// A nonce used twice under one key gives the key stream away: only known-answer tests choose it.
    static func seal(
        _ plaintext: [UInt8], key: [UInt8], nonce: [UInt8], authenticating: [UInt8]
    ) throws(CryptographyError) -> [UInt8] {
        let operation = "AES-256-GCM seal"
        try check(key, nonce, sizes: [plaintext.count, authenticating.count], operation)
        guard let context = EVP_CIPHER_CTX_new() else { throw CryptographyError.last(operation) }
        defer { EVP_CIPHER_CTX_free(context) }
        var sealed = nonce + [UInt8](repeating: 0, count: plaintext.count + tagBytes)
        let done = sealed.withUnsafeMutableBufferPointer { output -> Bool in
            guard let start = output.baseAddress else { return false }
            var written: Int32 = 0
            let tag = start + nonceBytes + plaintext.count
            return EVP_EncryptInit_ex2(context, Algorithms.shared.aes256GCM, key, nonce, nil) == 1
                && (authenticating.isEmpty
                    || EVP_EncryptUpdate(context, nil, &written, authenticating, Int32(authenticating.count)) == 1)
                && (plaintext.isEmpty
                    || EVP_EncryptUpdate(context, start + nonceBytes, &written, plaintext, Int32(plaintext.count)) == 1)
                && EVP_EncryptFinal_ex(context, tag, &written) == 1
                && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(tagBytes), tag) == 1
        }
        guard done else { throw CryptographyError.last(operation) }
        return sealed
    }

    /// Refuses whatever was not sealed with this key and this authenticated text, without saying which differed.
    public static func open(
        _ sealed: [UInt8], key: [UInt8], authenticating: [UInt8] = []
    ) throws(CryptographyError) -> [UInt8] {
        let operation = "AES-256-GCM open"
        guard sealed.count >= nonceBytes + tagBytes else {
            throw CryptographyError(operation: operation, detail: "shorter than a nonce and a tag")
        }
        let nonce = Array(sealed.prefix(nonceBytes))
        var tag = Array(sealed.suffix(tagBytes))
        let ciphertext = Array(sealed.dropFirst(nonceBytes).dropLast(tagBytes))
        try check(key, nonce, sizes: [ciphertext.count, authenticating.count], operation)
        guard let context = EVP_CIPHER_CTX_new() else { throw CryptographyError.last(operation) }
        defer { EVP_CIPHER_CTX_free(context) }
        // One byte more, so that the final call has an address to (not) write to.
        var plaintext = [UInt8](repeating: 0, count: ciphertext.count + 1)
        var written: Int32 = 0
        let done =
            EVP_DecryptInit_ex2(context, Algorithms.shared.aes256GCM, key, nonce, nil) == 1
            && (authenticating.isEmpty
                || EVP_DecryptUpdate(context, nil, &written, authenticating, Int32(authenticating.count)) == 1)
            && (ciphertext.isEmpty || EVP_DecryptUpdate(context, &plaintext, &written, ciphertext, Int32(ciphertext.count)) == 1)
            && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(tagBytes), &tag) == 1
        guard done else { throw CryptographyError.last(operation) }
        var none: UInt8 = 0
        guard EVP_DecryptFinal_ex(context, &none, &written) == 1 else {
            ERR_clear_error()
            throw CryptographyError(operation: operation, detail: "not sealed with this key and context, or altered since")
        }
        plaintext.removeLast()
        return plaintext
    }

    private static func check(
        _ key: [UInt8], _ nonce: [UInt8], sizes: [Int], _ operation: String
    ) throws(CryptographyError) {
        guard key.count == keyBytes else {
            throw CryptographyError(operation: operation, detail: "the key must be 32 bytes, is \(key.count)")
        }
        guard nonce.count == nonceBytes else { throw CryptographyError(operation: operation, detail: "the nonce must be 12 bytes") }
        // OpenSSL counts in Int32.
        guard sizes.allSatisfy({ $0 <= 1 << 30 }) else { throw CryptographyError(operation: operation, detail: "larger than 1 GiB") }
    }
}
