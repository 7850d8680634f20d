/// Cuts a script into its statements at top-level semicolons: quotes, dollar quotes and comments are respected (PostgreSQL §4.1).
/// Not understood: backslashes in E'…' and bodies in BEGIN ATOMIC … END; a migration has dollar quotes for both.
enum SQLScript {
    static func statements(in script: String) -> [String] {
        let text = Array(script.utf8)
        var statements: [String] = []
        var start = 0
        var position = 0
        var hasContent = false

        func skip(past end: [UInt8], from index: Int) -> Int {
            var index = index
            while index < text.count {
                if text[index...].starts(with: end) { return index + end.count }
                index += 1
            }
            return text.count
        }

        while position < text.count {
            let byte = text[position]
            if byte == UInt8(ascii: "-"), text[position...].starts(with: "--".utf8) {
                position = skip(past: [10], from: position)
            } else if byte == UInt8(ascii: "/"), text[position...].starts(with: "/*".utf8) {
                position = commentEnd(text, from: position + 2)
            } else if byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"") {
                // A doubled quote begins the next piece at once, so it needs no case of its own.
                position = skip(past: [byte], from: position + 1)
                hasContent = true
            } else if byte == UInt8(ascii: "$"), let tag = dollarTag(text, at: position) {
                position = skip(past: tag, from: position + tag.count)
                hasContent = true
            } else if byte == UInt8(ascii: ";") {
                if hasContent { statements.append(String(decoding: text[start..<position], as: UTF8.self)) }
                position += 1
                start = position
                hasContent = false
            } else {
                if byte > 32 { hasContent = true }
                position += 1
            }
        }
        if hasContent { statements.append(String(decoding: text[start...], as: UTF8.self)) }
        return statements
    }

    /// Block comments nest (PostgreSQL §4.1.5).
    private static func commentEnd(_ text: [UInt8], from start: Int) -> Int {
        var depth = 1
        var position = start
        while position + 1 < text.count {
            switch (text[position], text[position + 1]) {
            case (UInt8(ascii: "/"), UInt8(ascii: "*")):
                depth += 1
                position += 2
            case (UInt8(ascii: "*"), UInt8(ascii: "/")):
                depth -= 1
                position += 2
                if depth == 0 { return position }
            default: position += 1
            }
        }
        return text.count
    }

    /// Tags are spelled like identifiers, and `$` inside an identifier begins none (PostgreSQL §4.1.2.4).
    private static func dollarTag(_ text: [UInt8], at position: Int) -> [UInt8]? {
        guard position == 0 || !isTagByte(text[position - 1]) else { return nil }
        var end = position + 1
        while end < text.count, isTagByte(text[end]) { end += 1 }
        guard end < text.count, text[end] == UInt8(ascii: "$"), !(48...57).contains(text[position + 1]) else { return nil }
        return Array(text[position...end])
    }

    private static func isTagByte(_ byte: UInt8) -> Bool {
        (65...90).contains(byte) || (97...122).contains(byte) || (48...57).contains(byte) || byte == UInt8(ascii: "_") || byte >= 0x80
    }
}
