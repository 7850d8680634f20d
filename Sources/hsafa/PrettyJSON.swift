import JSON

/// JSON for people: two spaces a level, members in the order in which they came, numbers and strings as they were written.
enum PrettyJSON {
    static func text(_ node: JSONNode) -> String {
        var bytes: [UInt8] = []
        append(node, level: 0, to: &bytes)
        bytes.append(UInt8(ascii: "\n"))
        return String(decoding: bytes, as: UTF8.self)
    }

    // Recursion is bounded by the parser's depth limit.
    private static func append(_ node: JSONNode, level: Int, to bytes: inout [UInt8]) {
        switch node.kind {
        case .object where node.count > 0:
            bytes.append(UInt8(ascii: "{"))
            var isFirst = true
            for (key, value) in node.members {
                separate(&isFirst, level: level, &bytes)
                JSONWriter.appendEscaped(key, into: &bytes)
                bytes += ": ".utf8
                append(value, level: level + 1, to: &bytes)
            }
            close("}", level: level, &bytes)
        case .array where node.count > 0:
            bytes.append(UInt8(ascii: "["))
            var isFirst = true
            for value in node.elements {
                separate(&isFirst, level: level, &bytes)
                append(value, level: level + 1, to: &bytes)
            }
            close("]", level: level, &bytes)
        case .object: bytes += "{}".utf8
        case .array: bytes += "[]".utf8
        default: bytes += node.raw
        }
    }

    private static func separate(_ isFirst: inout Bool, level: Int, _ bytes: inout [UInt8]) {
        bytes += (isFirst ? "\n" : ",\n").utf8
        isFirst = false
        bytes += repeatElement(UInt8(ascii: " "), count: 2 * (level + 1))
    }

    private static func close(_ bracket: String, level: Int, _ bytes: inout [UInt8]) {
        bytes += "\n".utf8
        bytes += repeatElement(UInt8(ascii: " "), count: 2 * level)
        bytes += bracket.utf8
    }
}
