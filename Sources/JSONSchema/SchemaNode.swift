import JSON

/// One subschema, compiled: what it asserts, in the order of evaluation (`unevaluated…` last).
struct SchemaNode: Sendable {
    let resource: Int
    var keywords: [Keyword] = []
    enum Keyword: Sendable {
        /// The schemas true and false.
        case always(Bool)
        case type(Types)
        case enumeration(Set<ComparisonKey>, text: String)
        case constant(ComparisonKey, text: String)
        case minimum(DecimalNumber, isExclusive: Bool)
        case maximum(DecimalNumber, isExclusive: Bool)
        case multipleOf(DecimalNumber)
        case length(min: Int, max: Int)
        case pattern(Pattern)
        case itemCount(min: Int, max: Int)
        case uniqueItems
        case prefixItems([Int])
        case items(Int, after: Int)
        case contains(Int, min: Int, max: Int)
        case memberCount(min: Int, max: Int)
        case required([String])
        case members(properties: [ExactString: Int], patterns: [(Pattern, Int)], additional: Int?)
        case propertyNames(Int)
        case dependentRequired([(String, [String])])
        case dependentSchemas([(String, Int)])
        case allOf([Int])
        case anyOf([Int])
        case oneOf([Int])
        case not(Int)
        case conditional(if: Int, then: Int?, else: Int?)
        case reference(Int)
        /// `name` is nil where the target is no dynamic anchor: then it is a plain reference.
        case dynamicReference(Int, name: String?)
        /// The draft's own metaschema: what can be compiled is a schema.
        case metaschema
        case unevaluatedItems(Int)
        case unevaluatedProperties(Int)
    }
}

/// A set of JSON Schema's types.
struct Types: OptionSet, Sendable {
    let rawValue: UInt8

    static let null = Types(rawValue: 1), boolean = Types(rawValue: 2), number = Types(rawValue: 4), string = Types(rawValue: 8)
    static let array = Types(rawValue: 16), object = Types(rawValue: 32), integer = Types(rawValue: 64)

    static let names: [(name: String, type: Types)] = [
        ("null", .null), ("boolean", .boolean), ("integer", .integer), ("number", .number), ("string", .string), ("array", .array),
        ("object", .object),
    ]

    var text: String { Self.names.filter { contains($0.type) }.map(\.name).joined(separator: " or ") }

    func allows(_ node: JSONNode) -> Bool {
        switch node.kind {
        case .null: contains(.null)
        case .bool: contains(.boolean)
        case .string: contains(.string)
        case .array: contains(.array)
        case .object: contains(.object)
        case .number: contains(.number) || contains(.integer) && DecimalNumber(node)?.isInteger == true
        }
    }
}
