public import JSON

/// Results within their bound: what is too large is cut and says so, and is never broken JSON.
public enum ResultCut {
    public static let marker = "… [cut: the result was larger than the limit]"

    /// The JSON as it is; too large, the beginning of its text as a string with the marker.
    ///
    /// - Parameter isCut: something is missing already.
    public static func fit(_ json: RawJSON, isCut: Bool = false, maxBytes: Int = Limits.maxToolResultBytes) -> RawJSON {
        guard isCut || json.bytes.count > maxBytes else { return json }
        let text = (try? json.document())?.root.string ?? json.string
        // Escapes and the marker need room too: the text is shortened until its string fits.
        var length = min(text.utf8.count, maxBytes)
        while true {
            let cut = string(prefix(text, length) + marker)
            if cut.bytes.count <= maxBytes || length == 0 { return cut }
            length = max(0, length - max(cut.bytes.count - maxBytes, length / 16))
        }
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

    private static func prefix(_ text: String, _ bytes: Int) -> String {
        guard text.utf8.count > bytes else { return text }
        var end = text.utf8.index(text.startIndex, offsetBy: bytes)
        while end > text.startIndex, UTF8.isContinuation(text.utf8[end]) { end = text.utf8.index(before: end) }
        return String(text[..<end])
    }
}
