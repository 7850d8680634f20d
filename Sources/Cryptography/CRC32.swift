/// IEEE 802.3, as in zlib and PNG: tells typing errors from keys, protects nothing against an attacker.
public enum CRC32 {
    private static let table: [UInt32] = (0..<256).map { index in
        var remainder = UInt32(index)
        for _ in 0..<8 { remainder = remainder & 1 == 1 ? remainder >> 1 ^ 0xEDB8_8320 : remainder >> 1 }
        return remainder
    }

    public static func checksum(_ bytes: some Collection<UInt8>) -> UInt32 {
        let table = table
        var remainder = UInt32.max
        for byte in bytes { remainder = remainder >> 8 ^ table[Int((remainder ^ UInt32(byte)) & 0xFF)] }
        return ~remainder
    }
}
