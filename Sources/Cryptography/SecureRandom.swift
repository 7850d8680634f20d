import COpenSSL

public enum SecureRandom {
    /// From OpenSSL's generator, seeded by the kernel. Traps only when the kernel has no entropy source at all: keys and nonces made
    /// from anything else would be guessable, and no caller could do better than stop.
    public static func bytes(_ count: Int) -> [UInt8] {
        guard count > 0 else { return [] }
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            precondition(
                count <= Int(Int32.max) && RAND_bytes(buffer.baseAddress, Int32(count)) == 1, "the system has no source of randomness")
            filled = count
        }
    }
}

/// Takes the same time wherever the bytes differ; the lengths are no secret.
public func constantTimeEquals(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    a.count == b.count && CRYPTO_memcmp(a, b, a.count) == 0
}
