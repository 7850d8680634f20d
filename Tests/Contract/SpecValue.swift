public import JSON
import Yams

/// A value of the description that can be taken apart and put together again, in the order of the text.
public indirect enum SpecValue: Sendable, Hashable {
    case null
    case bool(Bool)
    /// As it is written.
    case number(String)
    case string(String)
    case array([SpecValue])
    case object([Member])

    public struct Member: Sendable, Hashable {
        public var key: String
        public var value: SpecValue

        public init(_ key: String, _ value: SpecValue) {
            self.key = key
            self.value = value
        }
    }
}

extension SpecValue {
    public subscript(_ key: String) -> SpecValue? { members.first { $0.key == key }?.value }

    public var members: [Member] { if case .object(let members) = self { members } else { [] } }
    public var elements: [SpecValue] { if case .array(let elements) = self { elements } else { [] } }
    public var string: String? { if case .string(let text) = self { text } else { nil } }
    public var bool: Bool? { if case .bool(let bool) = self { bool } else { nil } }
    public var int: Int? { if case .number(let text) = self { Int(text) } else { nil } }
    public var isObject: Bool { if case .object = self { true } else { false } }

    /// The same object with a member set, or without it.
    public func with(_ key: String, _ value: SpecValue?) -> SpecValue {
        var members = members
        let index = members.firstIndex { $0.key == key }
        switch (index, value) {
        case (let index?, let value?): members[index].value = value
        case (let index?, nil): members.remove(at: index)
        case (nil, let value?): members.append(Member(key, value))
        case (nil, nil): break
        }
        return .object(members)
    }

    public var json: RawJSON {
        var writer = JSONWriter()
        write(to: &writer)
        return RawJSON(trusted: writer.bytes)
    }

    private func write(to writer: inout JSONWriter) {
        switch self {
        case .null: writer.null()
        case .bool(let bool): writer.bool(bool)
        case .number(let text): writer.raw(bytes: Array(text.utf8))
        case .string(let text): writer.string(text)
        case .array(let elements):
            writer.beginArray()
            for element in elements { element.write(to: &writer) }
            writer.endArray()
        case .object(let members):
            writer.beginObject()
            for member in members {
                writer.key(member.key)
                member.value.write(to: &writer)
            }
            writer.endObject()
        }
    }

    public init(_ node: JSONNode) {
        switch node.kind {
        case .null: self = .null
        case .bool: self = .bool(node.bool ?? false)
        case .number: self = .number(node.rawJSON.string)
        case .string: self = .string(node.string ?? "")
        case .array: self = .array(node.elements.map { SpecValue($0) })
        case .object: self = .object(node.members.map { Member($0.key, SpecValue($0.value)) })
        }
    }
}

// MARK: YAML

extension SpecValue {
    /// YAML 1.2, core schema: what is plain may be null, a boolean or a number; what is quoted is text.
    init(yaml text: String) throws {
        guard let node = try Yams.compose(yaml: text) else { throw ContractError("the description is empty") }
        try self.init(node)
    }

    private init(_ node: Node) throws {
        switch node {
        case .scalar(let scalar): self = scalar.style == .plain ? Self.plain(scalar.string) : .string(scalar.string)
        case .sequence(let sequence): self = .array(try sequence.map { try SpecValue($0) })
        case .mapping(let mapping):
            self = .object(
                try mapping.map { key, value in
                    guard let name = key.scalar?.string else { throw ContractError("a key of the description is no text") }
                    return Member(name, try SpecValue(value))
                })
        default: throw ContractError("the description has an alias")
        }
    }

    private static func plain(_ text: String) -> SpecValue {
        switch text {
        case "null", "~", "": .null
        case "true": .bool(true)
        case "false": .bool(false)
        default:
            // RFC 8259 §6, which is what YAML's core schema and JSON have in common.
            text.wholeMatch(of: /-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?/) == nil ? .string(text) : .number(text)
        }
    }
}

public struct ContractError: Error, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}
