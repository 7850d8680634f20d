public import JSON

/// Results and failures within their bounds: what is too large is cut and says so, and is never broken JSON.
public enum ResultCut {
    /// The one form of a result that was larger than it may be: `{"truncated":true,"bytes":…,"maxBytes":…,"head":"…"}`, itself within
    /// `maxBytes`, with as much of the beginning as fits.
    ///
    /// - Parameters:
    ///   - text: the beginning at least; a result that is a string shows as its text, any other as its JSON.
    ///   - bytes: of the whole result's JSON; nil, and then left out, where it was not read to its end.
    public static func json(_ text: String, bytes: Int?, maxBytes: Int) -> RawJSON {
        func cut(_ head: String) -> RawJSON {
            RawJSON.object { writer in
                writer.field("truncated", bool: true)
                writer.field("bytes", intIfPresent: bytes)
                writer.field("maxBytes", int: maxBytes)
                writer.field("head", string: head)
            }
        }
        return cut(beginning(of: text, escapedBytes: maxBytes - cut("").bytes.count))
    }

    /// Whole characters only, of as many bytes as JSON needs for them.
    private static func beginning(of text: String, escapedBytes room: Int) -> String {
        var text = text
        return text.withUTF8 { bytes in
            var used = 0
            var end = 0
            for (position, byte) in bytes.enumerated() {
                if !UTF8.isContinuation(byte) { end = position }
                used += JSONWriter.escapedCount(of: byte)
                if used > room { return String(decoding: bytes[..<end], as: UTF8.self) }
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    /// A failure's text within its bound.
    public static func failure(_ text: String, maxBytes: Int = Limits.maxToolErrorBytes) -> String {
        text.utf8.count > maxBytes ? prefix(of: text, bytes: maxBytes - " […]".utf8.count) + " […]" : text
    }

    public static func string(_ text: String) -> RawJSON {
        var bytes: [UInt8] = []
        JSONWriter.appendEscaped(text, into: &bytes)
        return RawJSON(trusted: bytes)
    }

    /// UTF-8 text; nil when it is none. Where it was cut, half a character at its end is left out.
    public static func text(_ bytes: ArraySlice<UInt8>, isCut: Bool = true) -> String? {
        for dropped in 0...(isCut ? min(3, bytes.count) : 0) {
            if let text = String(validating: bytes.dropLast(dropped), as: UTF8.self) {
                return text.utf8.contains(0) ? nil : text
            }
        }
        return nil
    }

    /// Whole characters only.
    private static func prefix(of text: String, bytes: Int) -> String {
        guard text.utf8.count > bytes else { return text }
        var end = text.utf8.index(text.utf8.startIndex, offsetBy: max(0, bytes))
        while end > text.startIndex, end.samePosition(in: text.unicodeScalars) == nil { end = text.utf8.index(before: end) }
        return String(text[..<end])
    }
}
