/// `$argon2id$v=19$m=…,t=…,p=…$salt$tag`, base64 without padding (the PHC string format).
struct PHCString: Equatable {
    var memoryKiB: UInt32
    var iterations: UInt32
    var parallelism: UInt32
    var salt: [UInt8]
    var tag: [UInt8]

    /// A stored hash decides what a verify costs: whoever could write one must not be able to take all memory or time.
    static let mostMemoryKiB: UInt32 = 1 << 20
    static let mostIterations: UInt32 = 64
    static let mostParallelism: UInt32 = 16

    init(memoryKiB: UInt32, iterations: UInt32, parallelism: UInt32, salt: [UInt8], tag: [UInt8]) {
        self.memoryKiB = memoryKiB
        self.iterations = iterations
        self.parallelism = parallelism
        self.salt = salt
        self.tag = tag
    }

    init?(_ text: String) {
        guard text.utf8.count <= 1_024 else { return nil }
        let parts = text.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 6, parts[0].isEmpty, parts[1] == "argon2id", parts[2] == "v=19" else { return nil }
        let costs = parts[3].split(separator: ",", omittingEmptySubsequences: false)
        guard costs.count == 3, let memory = Self.cost("m=", costs[0]), let iterations = Self.cost("t=", costs[1]),
            let lanes = Self.cost("p=", costs[2]), let salt = PHCBase64.decode(parts[4]), let tag = PHCBase64.decode(parts[5])
        else { return nil }
        guard (1...Self.mostParallelism).contains(lanes), (1...Self.mostIterations).contains(iterations),
            (8 * lanes...Self.mostMemoryKiB).contains(memory), (8...64).contains(salt.count), (16...128).contains(tag.count)
        else { return nil }
        self.init(memoryKiB: memory, iterations: iterations, parallelism: lanes, salt: salt, tag: tag)
    }

    var text: String {
        "$argon2id$v=19$m=\(memoryKiB),t=\(iterations),p=\(parallelism)$\(PHCBase64.encode(salt))$\(PHCBase64.encode(tag))"
    }

    /// Plain decimal digits without a leading zero, as the format asks for.
    private static func cost(_ name: String, _ text: Substring) -> UInt32? {
        guard text.hasPrefix(name) else { return nil }
        let digits = text.dropFirst(name.count)
        guard let first = digits.utf8.first, (0x31...0x39).contains(first), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) })
        else { return nil }
        return UInt32(digits)
    }
}

/// Standard alphabet, no padding, no stray bits: the format's B64.
enum PHCBase64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        var bits: UInt32 = 0
        var bitCount: UInt32 = 0
        for byte in bytes {
            bits = (bits << 8 | UInt32(byte)) & 0xFFFF
            bitCount += 8
            while bitCount >= 6 {
                bitCount -= 6
                text.append(alphabet[Int(bits >> bitCount & 63)])
            }
        }
        if bitCount > 0 { text.append(alphabet[Int(bits << (6 - bitCount) & 63)]) }
        return String(decoding: text, as: UTF8.self)
    }

    static func decode(_ text: Substring) -> [UInt8]? {
        guard text.utf8.count % 4 != 1 else { return nil }
        var bytes: [UInt8] = []
        var bits: UInt32 = 0
        var bitCount: UInt32 = 0
        for letter in text.utf8 {
            guard let value = alphabet.firstIndex(of: letter) else { return nil }
            bits = (bits << 6 | UInt32(value)) & 0xFFFF
            bitCount += 6
            if bitCount >= 8 {
                bitCount -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> bitCount))
            }
        }
        return bits & ((1 << bitCount) - 1) == 0 ? bytes : nil
    }
}
