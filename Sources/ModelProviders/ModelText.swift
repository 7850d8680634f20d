extension String {
    /// The longest prefix of at most `limit` bytes that does not cut a scalar.
    func prefix(utf8Bytes limit: Int) -> String {
        guard utf8.count > limit else { return self }
        var end = utf8.index(startIndex, offsetBy: max(limit, 0))
        while end > startIndex, UTF8.isContinuation(utf8[end]) { end = utf8.index(before: end) }
        return String(self[..<end])
    }

    /// Runs of bytes between ASCII white space.
    var wordCount: Int {
        var count = 0
        var isInWord = false
        for byte in utf8 {
            let isSpace = byte == 0x20 || (0x09...0x0D).contains(byte)
            if !isSpace, !isInWord { count += 1 }
            isInWord = !isSpace
        }
        return count
    }

    /// What may stand in messages and logs: without the credential, without control characters, bounded.
    func cleaned(without secret: String?, maxBytes: Int) -> String {
        var bytes = Array(utf8)
        // By bytes, for a combining character behind the credential would hide it from a comparison by characters.
        if let secret = secret.map({ Array($0.utf8) }), !secret.isEmpty {
            bytes = bytes.replacing(secret, with: Array("[redacted]".utf8))
        }
        bytes = bytes.map { $0 < 0x20 || $0 == 0x7F ? 0x20 : $0 }
        return String(decoding: bytes, as: UTF8.self).prefix(utf8Bytes: maxBytes)
    }
}
