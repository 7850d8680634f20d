import JSON

/// Equal for values that are equal as JSON Schema means it (core, §4.2.2): numbers by value, objects without order.
struct ComparisonKey: Sendable, Hashable {
    private let bytes: [UInt8]

    init(_ node: JSONNode) {
        var bytes: [UInt8] = []
        Self.append(node, to: &bytes)
        self.bytes = bytes
    }

    private static func append(_ node: JSONNode, to bytes: inout [UInt8]) {
        switch node.kind {
        case .null, .bool: bytes.append(contentsOf: node.raw)
        case .number:
            bytes.append(UInt8(ascii: "#"))
            if let number = DecimalNumber(node) { number.append(to: &bytes) } else { bytes.append(contentsOf: node.raw) }
        case .string: append(node.string ?? "", to: &bytes)
        case .array:
            bytes.append(UInt8(ascii: "["))
            for element in node.elements {
                append(element, to: &bytes)
                bytes.append(UInt8(ascii: ","))
            }
            bytes.append(UInt8(ascii: "]"))
        case .object:
            bytes.append(UInt8(ascii: "{"))
            for (key, value) in node.members.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
                append(key, to: &bytes)
                append(value, to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }

    /// With its length, so that no text can pass for the end of another.
    private static func append(_ text: String, to bytes: inout [UInt8]) {
        bytes.append(contentsOf: "\"\(text.utf8.count):".utf8)
        bytes.append(contentsOf: text.utf8)
    }
}
