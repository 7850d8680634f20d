import JSON

/// A JSON value as expressions see it. Numbers are IEEE 754 doubles.
indirect enum ComputeValue: Sendable, Hashable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case list([ComputeValue])
    case object([String: ComputeValue])

    init(_ node: JSONNode) {
        switch node.kind {
        case .object:
            self = .object(Dictionary(node.members.map { ($0.key, ComputeValue($0.value)) }) { first, _ in first })
        case .array: self = .list(node.elements.map { ComputeValue($0) })
        case .string: self = .string(node.string ?? "")
        // What no double can hold stays the text that it is.
        case .number: self = node.double.map { .number($0) } ?? .string(String(decoding: node.raw, as: UTF8.self))
        default: self = node.bool.map { .bool($0) } ?? .null
        }
    }

    var typeName: String {
        switch self {
        case .null: "null"
        case .bool: "boolean"
        case .number: "number"
        case .string: "text"
        case .list: "list"
        case .object: "object"
        }
    }

    /// What it costs to make; texts by bytes, lists and objects by entries.
    var bytes: Int {
        switch self {
        case .string(let text): text.utf8.count
        case .list(let list): list.count * 16
        case .object(let members): members.count * 32
        default: 8
        }
    }

    func write(to writer: inout JSONWriter) {
        switch self {
        case .null: writer.null()
        case .bool(let value): writer.bool(value)
        case .number(let value): writer.raw(bytes: Self.text(value).utf8)
        case .string(let text): writer.string(text)
        case .list(let list):
            writer.beginArray()
            for element in list { element.write(to: &writer) }
            writer.endArray()
        case .object(let members):
            writer.beginObject()
            for (name, value) in members.sorted(by: { $0.key < $1.key }) {
                writer.key(name)
                value.write(to: &writer)
            }
            writer.endObject()
        }
    }

    /// Whole numbers without a fraction, others in their shortest form that reads back the same.
    static func text(_ value: Double) -> String {
        if value == value.rounded(), abs(value) < 9_007_199_254_740_992 { return String(Int(value)) }
        return "\(value)"
    }
}

/// Why an expression cannot be read, or came to nothing.
public struct ComputeError: Error, Sendable, Hashable, CustomStringConvertible {
    public let message: String
    /// Characters before the place, from 0.
    public let position: Int

    public var description: String { "\(message) (at character \(position + 1))" }
}
