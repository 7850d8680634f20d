import JSON

extension ToolOutcome {
    /// The same outcome with at most `maxBytes` of JSON. A result that is larger becomes an object that says so, with as much of its
    /// beginning as fits: `{"truncated":true,"bytes":…,"maxBytes":…,"head":"…"}`, which is JSON whatever was cut.
    public func bounded(to maxBytes: Int?) -> ToolOutcome {
        guard let maxBytes, case .result(let json, let source) = self, json.bytes.count > maxBytes else { return self }
        return .result(Self.cut(json, maxBytes: maxBytes), source: source)
    }

    private static func cut(_ json: RawJSON, maxBytes: Int) -> RawJSON {
        // A text is shown as text, anything else as the JSON that it was.
        let text = (try? json.document().root.string) ?? json.string
        var room = maxBytes
        while true {
            let cut = RawJSON.object { writer in
                writer.field("truncated", bool: true)
                writer.field("bytes", int: json.bytes.count)
                writer.field("maxBytes", int: maxBytes)
                writer.field("head", string: prefix(of: text, bytes: room))
            }
            // Escapes take more than what they stand for.
            guard cut.bytes.count > maxBytes, room > 0 else { return cut }
            room = max(0, min(room - (cut.bytes.count - maxBytes), room * 9 / 10))
        }
    }

    /// Whole characters only.
    private static func prefix(of text: String, bytes: Int) -> String {
        guard text.utf8.count > bytes else { return text }
        var end = text.utf8.index(text.utf8.startIndex, offsetBy: bytes)
        while end > text.startIndex, end.samePosition(in: text.unicodeScalars) == nil { end = text.utf8.index(before: end) }
        return String(text[..<end])
    }
}
