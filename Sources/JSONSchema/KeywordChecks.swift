import JSON

extension SchemaValidator {
    mutating func check(_ keyword: SchemaNode.Keyword, _ value: JSONNode, _ marks: inout Marks) -> Bool {
        switch keyword {
        case .always(let holds): return holds || fail("is not allowed here")
        case .type(let types): return types.allows(value) || fail("must be \(types.text)")
        case .enumeration(let allowed, let text):
            return charge(value) && allowed.contains(ComparisonKey(value)) || fail("must be one of \(text)")
        case .constant(let wanted, let text): return charge(value) && wanted == ComparisonKey(value) || fail("must be \(text)")
        case .minimum, .maximum, .multipleOf: return checkNumber(keyword, value)
        case .length, .pattern: return checkString(keyword, value)
        case .itemCount, .uniqueItems, .prefixItems, .items, .contains, .unevaluatedItems: return checkArray(keyword, value, &marks)
        case .memberCount, .required, .members, .propertyNames, .dependentRequired, .dependentSchemas, .unevaluatedProperties:
            return checkObject(keyword, value, &marks)
        case .allOf, .anyOf, .oneOf, .not, .conditional, .reference, .dynamicReference, .metaschema:
            return checkInPlace(keyword, value, &marks)
        }
    }

    private mutating func checkNumber(_ keyword: SchemaNode.Keyword, _ value: JSONNode) -> Bool {
        guard value.kind == .number else { return true }
        // Digits are divided one by one.
        guard charge(value.raw.count / 4 + 1) else { return false }
        // An exponent of a million digits is nothing that a bound can be told of.
        guard let number = DecimalNumber(value) else { return fail("must be a number of sensible size") }
        switch keyword {
        case .minimum(let bound, let isExclusive):
            return bound < number || !isExclusive && bound == number || fail("must be \(isExclusive ? "above" : "at least") \(bound)")
        case .maximum(let bound, let isExclusive):
            return number < bound || !isExclusive && bound == number || fail("must be \(isExclusive ? "below" : "at most") \(bound)")
        case .multipleOf(let divisor): return number.isMultiple(of: divisor) || fail("must be a multiple of \(divisor)")
        default: return true
        }
    }

    private mutating func checkString(_ keyword: SchemaNode.Keyword, _ value: JSONNode) -> Bool {
        guard value.kind == .string else { return true }
        guard charge(value), let text = value.string else { return false }
        switch keyword {
        case .length(let min, let max):
            // Characters are code points (validation, §6.3.1).
            let count = text.unicodeScalars.count
            return min <= count && count <= max || fail("must be \(Self.bounds(min, max, "character")) long")
        case .pattern(let pattern): return matches(pattern, text) || fail("must match \(pattern.source)")
        default: return true
        }
    }

    static func bounds(_ min: Int, _ max: Int, _ what: String) -> String {
        switch (min, max) {
        case (let min, .max): "at least \(min) \(what)\(min == 1 ? "" : "s")"
        case (0, let max): "at most \(max) \(what)\(max == 1 ? "" : "s")"
        case (let min, let max): "\(min) to \(max) \(what)s"
        }
    }

    private mutating func checkArray(_ keyword: SchemaNode.Keyword, _ value: JSONNode, _ marks: inout Marks) -> Bool {
        guard value.kind == .array else { return true }
        let count = value.count
        var isValid = true
        switch keyword {
        case .itemCount(let min, let max): return min <= count && count <= max || fail("must have \(Self.bounds(min, max, "element"))")
        case .uniqueItems:
            guard charge(value) else { return false }
            var seen = Set<ComparisonKey>()
            for element in value.elements where !seen.insert(ComparisonKey(element)).inserted { return fail("must not repeat an element") }
        case .prefixItems(let schemas):
            for (index, (element, schema)) in zip(value.elements, schemas).enumerated() {
                marks.element(index, of: count)
                if !descend(schema, element, element: index) { isValid = false }
            }
        case .items(let schema, let first):
            for (index, element) in value.elements.enumerated() where index >= first {
                marks.element(index, of: count)
                if !descend(schema, element, element: index) { isValid = false }
            }
        case .contains(let schema, let min, let max):
            var found = 0
            for (index, element) in value.elements.enumerated() {
                var own = Marks()
                trials += 1
                let fits = apply(schema, element, &own)
                trials -= 1
                if fits {
                    found += 1
                    marks.element(index, of: count)
                }
            }
            return min <= found && found <= max || fail("must contain \(Self.bounds(min, max, "element")) of a kind that it lacks")
        case .unevaluatedItems(let schema):
            for (index, (element, isMarked)) in zip(value.elements, markedElements(marks, count)).enumerated() where !isMarked {
                marks.element(index, of: count)
                if !descend(schema, element, element: index) { isValid = false }
            }
        default: break
        }
        return isValid
    }

    private mutating func checkObject(_ keyword: SchemaNode.Keyword, _ value: JSONNode, _ marks: inout Marks) -> Bool {
        guard value.kind == .object else { return true }
        let count = value.count
        // Every member is looked at, or looked for among all of them.
        guard charge(count / 4 + 1) else { return false }
        var isValid = true
        switch keyword {
        case .memberCount(let min, let max): return min <= count && count <= max || fail("must have \(Self.bounds(min, max, "member"))")
        case .required(let names):
            // A member is looked for among all of them.
            guard charge(names.count * (count / 16 + 1)) else { return false }
            for name in names where value[name] == nil { isValid = fail("is required", at: name) }
        case .members(let properties, let patterns, let additional):
            for (index, member) in value.members.enumerated() {
                var isKnown = false
                if let schema = properties[ExactString(member.key)] {
                    isKnown = true
                    if !descend(schema, member.value, key: member.key) { isValid = false }
                }
                for (pattern, schema) in patterns where matches(pattern, member.key) {
                    isKnown = true
                    if !descend(schema, member.value, key: member.key) { isValid = false }
                }
                if !isKnown, let additional {
                    isKnown = true
                    if !descend(additional, member.value, key: member.key) { isValid = false }
                }
                if isKnown { marks.member(index, of: count) }
            }
        case .propertyNames(let schema):
            for (key, _) in value.members {
                // A name is checked as the string that it is.
                guard let name = Self.document(ofName: key), descend(schema, name, key: key) else {
                    isValid = false
                    continue
                }
            }
        case .dependentRequired(let dependent):
            for (key, names) in dependent {
                guard charge((1 + names.count) * (count / 16 + 1)) else { return false }
                guard value[key] != nil else { continue }
                for name in names where value[name] == nil { isValid = fail("is required beside \(key)", at: name) }
            }
        case .dependentSchemas(let dependent):
            guard charge(dependent.count * (count / 16 + 1)) else { return false }
            for (key, schema) in dependent where value[key] != nil && !applyInPlace(schema, value, &marks) { isValid = false }
        case .unevaluatedProperties(let schema):
            for (index, (member, isMarked)) in zip(value.members, markedMembers(marks, count)).enumerated() where !isMarked {
                marks.member(index, of: count)
                if !descend(schema, member.value, key: member.key) { isValid = false }
            }
        default: break
        }
        return isValid
    }

    private static func document(ofName name: String) -> JSONNode? {
        var writer = JSONWriter()
        writer.string(name)
        return (try? JSONDocument(parsing: writer.bytes))?.root
    }

    private mutating func checkInPlace(_ keyword: SchemaNode.Keyword, _ value: JSONNode, _ marks: inout Marks) -> Bool {
        switch keyword {
        case .allOf(let schemas):
            var isValid = true
            for schema in schemas where !applyInPlace(schema, value, &marks) { isValid = false }
            return isValid
        case .anyOf(let schemas):
            var fits = false
            // All of them are asked where it matters what they evaluate.
            for schema in schemas where !fits || keepsMarks { if tries(schema, value, &marks) { fits = true } }
            return fits || fail("must fit one of \(schemas.count) schemas, and fits none")
        case .oneOf(let schemas):
            var fitting = 0
            for schema in schemas where tries(schema, value, &marks) { fitting += 1 }
            return fitting == 1 || fail("must fit exactly one of \(schemas.count) schemas, and fits \(fitting)")
        case .not(let schema):
            var none = Marks()
            return !tries(schema, value, &none) && !isUndecided || fail("must not be what it is")
        case .conditional(let condition, let then, let otherwise):
            let branch = tries(condition, value, &marks) ? then : otherwise
            return branch.map { applyInPlace($0, value, &marks) } ?? true
        case .reference(let target): return applyInPlace(target, value, &marks)
        case .dynamicReference(let target, let name): return applyInPlace(dynamicTarget(target, name), value, &marks)
        case .metaschema:
            // Compiling is work by the byte, and by what its patterns come to; one that fails may have done most of it.
            guard charge(value.raw.count) else { return false }
            do throws(JSONSchemaError) { return charge(try JSONSchema(value, limits: limits).patternBytes / 16) } catch {
                return charge(limits.maxSteps / 16) && fail("must be a JSON Schema: \(error)")
            }
        default: return true
        }
    }
}
