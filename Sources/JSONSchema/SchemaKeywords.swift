import JSON

extension SchemaCompiler {
    /// What one subschema asserts. Unknown keywords are annotations (core, §6.5).
    mutating func keywords(of place: Place) throws(JSONSchemaError) -> [SchemaNode.Keyword] {
        if let value = place.node.bool { return [.always(value)] }
        guard place.node.kind == .object else { throw JSONSchemaError(pointer: place.pointer, message: "must be an object or a boolean") }
        var found: [SchemaNode.Keyword] = []
        try readReferences(place, &found)
        try readValues(place, &found)
        try readNumbersAndStrings(place, &found)
        try readArrays(place, &found)
        try readObjects(place, &found)
        try readApplicators(place, &found)
        if let node = place.node["unevaluatedItems"] { found.append(.unevaluatedItems(try child(place, node, "/unevaluatedItems"))) }
        if let node = place.node["unevaluatedProperties"] {
            found.append(.unevaluatedProperties(try child(place, node, "/unevaluatedProperties")))
        }
        return found
    }

    /// A value as messages show it.
    private static func brief(_ node: JSONNode) -> String {
        node.raw.count <= 200 ? String(decoding: node.raw, as: UTF8.self) : String(decoding: node.raw.prefix(200), as: UTF8.self) + "…"
    }

    private func fault(_ place: Place, _ key: String, _ message: String) -> JSONSchemaError {
        JSONSchemaError(pointer: "\(place.pointer)/\(Self.escaped(key))", message: message)
    }

    private mutating func readReferences(_ place: Place, _ found: inout [SchemaNode.Keyword]) throws(JSONSchemaError) {
        for key in ["$id", "$anchor", "$dynamicAnchor", "$schema", "$comment"] {
            if let node = place.node[key], node.string == nil { throw fault(place, key, "must be a string") }
        }
        if let node = place.node["$ref"] {
            guard let text = node.string else { throw fault(place, "$ref", "must be a string") }
            if let target = try reference(text, from: place) { found.append(.reference(target.index)) } else { found.append(.metaschema) }
        }
        if let node = place.node["$dynamicRef"] {
            guard let text = node.string else { throw fault(place, "$dynamicRef", "must be a string") }
            if let target = try reference(text, from: place) {
                found.append(.dynamicReference(target.index, name: target.dynamicName))
            } else {
                found.append(.metaschema)
            }
        }
        if let node = place.node["$defs"] {
            guard node.kind == .object else { throw fault(place, "$defs", "must be an object of schemas") }
            for (key, value) in node.members { _ = try child(place, value, "/$defs/" + Self.escaped(key)) }
        }
    }

    private func readValues(_ place: Place, _ found: inout [SchemaNode.Keyword]) throws(JSONSchemaError) {
        if let node = place.node["type"] {
            let names = node.kind == .array ? Array(node.elements) : [node]
            var types = Types()
            for name in names {
                guard let type = Types.names.first(where: { $0.name == name.string })?.type else {
                    throw fault(place, "type", "must be one of \(Types.names.map(\.name).joined(separator: ", ")), or an array of them")
                }
                types.insert(type)
            }
            guard !names.isEmpty else { throw fault(place, "type", "must name a type") }
            found.append(.type(types))
        }
        if let node = place.node["enum"] {
            guard node.kind == .array else { throw fault(place, "enum", "must be an array") }
            found.append(.enumeration(Set(node.elements.map(ComparisonKey.init)), text: Self.brief(node)))
        }
        if let node = place.node["const"] { found.append(.constant(ComparisonKey(node), text: Self.brief(node))) }
    }

    private mutating func readNumbersAndStrings(_ place: Place, _ found: inout [SchemaNode.Keyword]) throws(JSONSchemaError) {
        for (key, isMinimum, isExclusive) in [
            ("minimum", true, false), ("exclusiveMinimum", true, true), ("maximum", false, false), ("exclusiveMaximum", false, true),
        ] {
            guard let node = place.node[key] else { continue }
            guard let number = DecimalNumber(node) else { throw fault(place, key, "must be a number") }
            found.append(isMinimum ? .minimum(number, isExclusive: isExclusive) : .maximum(number, isExclusive: isExclusive))
        }
        if let node = place.node["multipleOf"] {
            guard let number = DecimalNumber(node), number.isPositive else { throw fault(place, "multipleOf", "must be a number above 0") }
            found.append(.multipleOf(number))
        }
        if let (min, max) = try range(place, "minLength", "maxLength") { found.append(.length(min: min, max: max)) }
        if let node = place.node["pattern"] {
            guard let text = node.string else { throw fault(place, "pattern", "must be a string") }
            found.append(.pattern(try pattern(text, place, "pattern")))
        }
    }

    private mutating func pattern(_ text: String, _ place: Place, _ key: String) throws(JSONSchemaError) -> Pattern {
        let compiled = try compile(text, place, key)
        try count(compiled, "\(place.pointer)/\(key)")
        return compiled
    }

    private func compile(_ text: String, _ place: Place, _ key: String) throws(JSONSchemaError) -> Pattern {
        do { return try Pattern(text, maxSteps: limits.maxPatternSteps) } catch {
            throw fault(place, key, "is no regular expression: \(error)")
        }
    }

    /// Bounds of a count; nil when there are none.
    private func range(_ place: Place, _ minKey: String, _ maxKey: String) throws(JSONSchemaError) -> (Int, Int)? {
        guard place.node[minKey] != nil || place.node[maxKey] != nil else { return nil }
        return (try count(place, minKey) ?? 0, try count(place, maxKey) ?? .max)
    }

    private func count(_ place: Place, _ key: String) throws(JSONSchemaError) -> Int? {
        guard let node = place.node[key] else { return nil }
        guard let number = DecimalNumber(node), number.isInteger, number.isNonNegative else {
            throw fault(place, key, "must be a whole number from 0")
        }
        return number.int ?? .max
    }

    private mutating func readArrays(_ place: Place, _ found: inout [SchemaNode.Keyword]) throws(JSONSchemaError) {
        if let (min, max) = try range(place, "minItems", "maxItems") { found.append(.itemCount(min: min, max: max)) }
        if let node = place.node["uniqueItems"] {
            guard let isUnique = node.bool else { throw fault(place, "uniqueItems", "must be a boolean") }
            if isUnique { found.append(.uniqueItems) }
        }
        var prefix: [Int] = []
        if place.node["prefixItems"] != nil {
            prefix = try schemas(place, "prefixItems")
            found.append(.prefixItems(prefix))
        }
        if let node = place.node["items"] { found.append(.items(try child(place, node, "/items"), after: prefix.count)) }
        if let node = place.node["contains"] {
            let index = try child(place, node, "/contains")
            found.append(.contains(index, min: try count(place, "minContains") ?? 1, max: try count(place, "maxContains") ?? .max))
        }
    }

    private mutating func readObjects(_ place: Place, _ found: inout [SchemaNode.Keyword]) throws(JSONSchemaError) {
        if let (min, max) = try range(place, "minProperties", "maxProperties") { found.append(.memberCount(min: min, max: max)) }
        if let node = place.node["required"] { found.append(.required(try names(node, place, "required"))) }
        let properties = try named(place, "properties")
        let patterns = try named(place, "patternProperties")
        let additional = try place.node["additionalProperties"].map { node throws(JSONSchemaError) in
            try child(place, node, "/additionalProperties")
        }
        if properties != nil || patterns != nil || additional != nil {
            var compiled: [(Pattern, Int)] = []
            for (text, index) in patterns ?? [] { compiled.append((try pattern(text, place, "patternProperties"), index)) }
            found.append(
                .members(
                    properties: Dictionary((properties ?? []).map { (ExactString($0.0), $0.1) }, uniquingKeysWith: { $1 }),
                    patterns: compiled, additional: additional))
        }
        if let node = place.node["propertyNames"] { found.append(.propertyNames(try child(place, node, "/propertyNames"))) }
        if let node = place.node["dependentRequired"] {
            guard node.kind == .object else { throw fault(place, "dependentRequired", "must be an object") }
            var dependent: [(String, [String])] = []
            for (key, value) in node.members { dependent.append((key, try names(value, place, "dependentRequired"))) }
            found.append(.dependentRequired(dependent))
        }
        if let dependent = try named(place, "dependentSchemas") { found.append(.dependentSchemas(dependent)) }
    }

    private mutating func readApplicators(_ place: Place, _ found: inout [SchemaNode.Keyword]) throws(JSONSchemaError) {
        if place.node["allOf"] != nil { found.append(.allOf(try schemas(place, "allOf"))) }
        if place.node["anyOf"] != nil { found.append(.anyOf(try schemas(place, "anyOf"))) }
        if place.node["oneOf"] != nil { found.append(.oneOf(try schemas(place, "oneOf"))) }
        if let node = place.node["not"] { found.append(.not(try child(place, node, "/not"))) }
        let then = try place.node["then"].map { node throws(JSONSchemaError) in try child(place, node, "/then") }
        let otherwise = try place.node["else"].map { node throws(JSONSchemaError) in try child(place, node, "/else") }
        if let node = place.node["if"] { found.append(.conditional(if: try child(place, node, "/if"), then: then, else: otherwise)) }
    }

    private mutating func schemas(_ place: Place, _ key: String) throws(JSONSchemaError) -> [Int] {
        guard let node = place.node[key], node.kind == .array, node.count > 0 else {
            throw fault(place, key, "must be an array of at least one schema")
        }
        var indices: [Int] = []
        for (position, element) in node.elements.enumerated() { indices.append(try child(place, element, "/\(key)/\(position)")) }
        return indices
    }

    private mutating func named(_ place: Place, _ key: String) throws(JSONSchemaError) -> [(String, Int)]? {
        guard let node = place.node[key] else { return nil }
        guard node.kind == .object else { throw fault(place, key, "must be an object of schemas") }
        var schemas: [(String, Int)] = []
        for (name, value) in node.members { schemas.append((name, try child(place, value, "/\(key)/\(Self.escaped(name))"))) }
        return schemas
    }

    private func names(_ node: JSONNode, _ place: Place, _ key: String) throws(JSONSchemaError) -> [String] {
        let names = node.elements.compactMap(\.string)
        guard node.kind == .array, names.count == node.count else { throw fault(place, key, "must be an array of strings") }
        return names
    }
}
