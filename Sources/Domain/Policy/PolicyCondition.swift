public import JSON
import JSONSchema

/// `when:` of a rule: a JSON Schema (2020-12) over the arguments, compiled when it is read. Two are equal when their texts are.
public struct PolicyCondition: Sendable, Hashable {
    public let json: RawJSON
    private let compiled: JSONSchema

    /// Unlike JSON Schema, a keyword that nobody knows is an error: a mistyped one would let everything through.
    public init(reading node: JSONNode, at pointer: String) throws(JSONViolation) {
        if let unknown = Self.unknownKeyword(node, at: pointer) {
            throw JSONViolation(pointer: unknown, message: "is no keyword of JSON Schema 2020-12; mind the spelling")
        }
        json = node.rawJSON
        do throws(JSONSchemaError) { compiled = try JSONSchema(node) } catch {
            throw JSONViolation(pointer: pointer + error.pointer, message: error.message)
        }
    }

    public static func == (left: PolicyCondition, right: PolicyCondition) -> Bool { left.json == right.json }
    public func hash(into hasher: inout Hasher) { hasher.combine(json) }

    /// About what it takes in memory, compiled.
    var compiledBytes: Int { compiled.compiledBytes }

    func verdict(_ arguments: JSONNode, within budget: inout JSONSchemaBudget) -> JSONSchema.Verdict {
        compiled.verdict(on: arguments, within: &budget)
    }

    /// The first thing that is wrong with the arguments, for an explanation.
    func fault(_ arguments: JSONNode, within budget: inout JSONSchemaBudget) -> String {
        compiled.violations(of: arguments, within: &budget).first.map {
            "\($0.pointer.isEmpty ? "the arguments" : $0.pointer) \($0.message)"
        } ?? ""
    }

    private static let asserting: Set<String> = [
        "$id", "$schema", "$anchor", "$ref", "$dynamicRef", "$dynamicAnchor", "$comment", "$vocabulary", "type", "enum", "const",
        "multipleOf",
        "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "maxLength", "minLength", "pattern", "maxItems", "minItems",
        "uniqueItems", "maxContains", "minContains", "maxProperties", "minProperties", "required", "dependentRequired", "title",
        "description", "default", "deprecated", "readOnly", "writeOnly", "examples",
    ]
    private static let ofOneSchema: Set<String> = [
        "items", "contains", "additionalProperties", "propertyNames", "not", "if", "then", "else", "unevaluatedItems",
        "unevaluatedProperties",
    ]
    private static let ofNamedSchemas: Set<String> = ["properties", "patternProperties", "dependentSchemas", "$defs"]
    private static let ofSchemas: Set<String> = ["allOf", "anyOf", "oneOf", "prefixItems"]

    private static func unknownKeyword(_ node: JSONNode, at pointer: String) -> String? {
        for (key, value) in node.members {
            let place = "\(pointer)/\(key.replacing("~", with: "~0").replacing("/", with: "~1"))"
            if ofOneSchema.contains(key) {
                if let found = unknownKeyword(value, at: place) { return found }
            } else if ofNamedSchemas.contains(key) {
                for (name, schema) in value.members { if let found = unknownKeyword(schema, at: "\(place)/\(name)") { return found } }
            } else if ofSchemas.contains(key) {
                for (index, schema) in value.elements.enumerated() {
                    if let found = unknownKeyword(schema, at: "\(place)/\(index)") { return found }
                }
            } else if !asserting.contains(key) {
                return place
            }
        }
        return nil
    }
}

/// `devices:` of a rule: labels that a device must have, each value a glob.
public struct DeviceCondition: Sendable, Hashable {
    public let labels: [String: Glob]

    public init(labels: [String: Glob]) { self.labels = labels }

    /// nil: it depends on the device that will be chosen.
    func holds(for device: PolicyQuestion.Device) -> Bool? {
        let known: [String: String]
        let isChosen: Bool
        switch device {
        case .open(let labels): (known, isChosen) = (labels, false)
        case .chosen(let labels): (known, isChosen) = (labels, true)
        }
        var isCertain = true
        for (name, wanted) in labels {
            if let value = known[name] {
                if !wanted.matches(value) { return false }
            } else if isChosen {
                return false
            } else {
                isCertain = false
            }
        }
        return isCertain ? true : nil
    }
}
