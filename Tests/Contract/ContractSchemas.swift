import JSON
import JSONSchema
import Synchronization

/// Schemas of the description, compiled when they are first needed.
///
/// Answers are held to more than the description promises its readers: an answer may get more fields within a version, but not without
/// being described. So objects that list their fields take no others here, and formats count.
final class ContractSchemas: Sendable {
    enum Strictness: String, Sendable {
        /// As the description has it.
        case asWritten
        /// No field that is not described; times as the gateway writes them.
        case closed
    }

    private let root: SpecValue
    private let compiled = Mutex<[String: JSONSchema]>([:])

    init(root: SpecValue) { self.root = root }

    func violations(of value: JSONNode, _ schema: SpecValue, _ strictness: Strictness) throws -> [String] {
        try compile(schema, strictness).violations(of: value).map { "\($0.pointer.isEmpty ? "the whole" : $0.pointer) \($0.message)" }
    }

    private func compile(_ schema: SpecValue, _ strictness: Strictness) throws -> JSONSchema {
        let key = strictness.rawValue + schema.json.string
        if let known = compiled.withLock({ $0[key] }) { return known }
        var limits = JSONSchemaLimits()
        limits.maxSchemaBytes = 4 << 20
        limits.maxNodes = 100_000
        limits.maxSteps = 20_000_000
        limits.maxPatternBytes = 16 << 20
        limits.maxPatternSteps = 10_000_000
        let made: JSONSchema
        do { made = try JSONSchema(self.document(schema, strictness).json, limits: limits) } catch {
            throw ContractError("\(schema.json): \(error)")
        }
        compiled.withLock { $0[key] = made }
        return made
    }

    /// A document of its own: the schema, and the components that it needs.
    private func document(_ schema: SpecValue, _ strictness: Strictness) -> SpecValue {
        var needed: [SpecValue.Member] = []
        var waiting = Self.references(in: schema)
        var seen: Set<String> = []
        while let name = waiting.popLast() {
            guard seen.insert(name).inserted, let component = root["components"]?["schemas"]?[name] else { continue }
            waiting += Self.references(in: component)
            needed.append(.init(name, strictness == .closed ? closed(component, isSite: false) : component))
        }
        return (strictness == .closed ? closed(schema, isSite: true) : schema)
            .with("components", .object([.init("schemas", .object(needed))]))
    }

    private static let prefix = "#/components/schemas/"

    static func references(in value: SpecValue) -> [String] {
        let own = value["$ref"]?.string.flatMap { $0.hasPrefix(prefix) ? String($0.dropFirst(prefix.count)) : nil }
        return (own.map { [$0] } ?? []) + value.members.flatMap { references(in: $0.value) } + value.elements.flatMap(references)
    }

    // MARK: Closing

    /// - Parameter isSite: the schema describes one value by itself, and is no part of a larger one.
    private func closed(_ schema: SpecValue, isSite: Bool) -> SpecValue {
        guard schema.isObject else { return schema }
        var members = schema.members
        for index in members.indices {
            let value = members[index].value
            switch members[index].key {
            case "properties", "patternProperties":
                members[index].value = .object(value.members.map { .init($0.key, closed($0.value, isSite: true)) })
            case "items", "additionalProperties", "contains": members[index].value = closed(value, isSite: true)
            case "prefixItems": members[index].value = .array(value.elements.map { closed($0, isSite: true) })
            case "allOf", "oneOf", "anyOf": members[index].value = .array(value.elements.map { closed($0, isSite: false) })
            case "examples", "example": members[index].value = .null
            default: break
            }
        }
        var result = SpecValue.object(members.filter { $0.key != "examples" && $0.key != "example" })
        if let pattern = schema["format"]?.string.flatMap({ Self.formats[$0] }), schema["pattern"] == nil {
            result = result.with("pattern", .string(pattern))
        }
        if isSite, listsFields(schema), !takesOthers(schema) { result = result.with("unevaluatedProperties", .bool(false)) }
        return result
    }

    /// As this gateway writes them.
    private static let formats = [
        "uuid": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        "date-time": #"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$"#,
        "date": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    ]

    private func parts(_ schema: SpecValue) -> [SpecValue] {
        let target = schema["$ref"]?.string.flatMap { SpecReader(root: root).resolve($0) }
        return (target.map { [$0] } ?? []) + ["allOf", "oneOf", "anyOf"].flatMap { schema[$0]?.elements ?? [] }
    }

    private func listsFields(_ schema: SpecValue) -> Bool { schema["properties"] != nil || parts(schema).contains(where: listsFields) }

    private func takesOthers(_ schema: SpecValue) -> Bool {
        schema["additionalProperties"] != nil || schema["unevaluatedProperties"] != nil || parts(schema).contains(where: takesOthers)
    }
}
