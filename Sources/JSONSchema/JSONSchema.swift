public import JSON

/// A compiled JSON Schema, draft 2020-12 (https://json-schema.org/draft/2020-12). `format` and the content keywords are annotations,
/// as the draft has it; references reach the schema itself, what it embeds, and the draft's metaschema, never the network.
public struct JSONSchema: Sendable {
    let nodes: [SchemaNode]
    /// Dynamic anchors of each resource, by name.
    let dynamicAnchors: [[String: Int]]
    private let limits: JSONSchemaLimits

    /// Throws with the place in the schema when it is none.
    public init(_ schema: JSONNode, limits: JSONSchemaLimits = .default) throws(JSONSchemaError) {
        var compiler = SchemaCompiler(limits: limits)
        try compiler.compile(schema)
        nodes = compiler.nodes
        dynamicAnchors = compiler.resources.map(\.dynamicAnchors)
        self.limits = limits
    }

    public init(_ schema: RawJSON, limits: JSONSchemaLimits = .default) throws(JSONSchemaError) {
        let document: JSONDocument
        do { document = try schema.document() } catch { throw JSONSchemaError(pointer: "", message: "is no JSON: \(error)") }
        try self.init(document.root, limits: limits)
    }

    /// What is wrong with an instance, at most `limits.maxViolations`; empty: it is valid.
    public func violations(of instance: JSONNode) -> [JSONViolation] {
        var validator = SchemaValidator(self, limits: limits)
        return validator.validate(instance)
    }

    public enum Verdict: Sendable, Hashable {
        case accepts, rejects
        /// A bound was reached before it was known.
        case undecided
    }

    /// For those to whom "nobody knows" is not the same as "no".
    public func verdict(on instance: JSONNode) -> Verdict {
        var validator = SchemaValidator(self, limits: limits)
        let violations = validator.validate(instance)
        return validator.isUndecided ? .undecided : violations.isEmpty ? .accepts : .rejects
    }

    public func accepts(_ instance: JSONNode) -> Bool { violations(of: instance).isEmpty }
}

/// Why a schema cannot be compiled.
public struct JSONSchemaError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Where in the schema, RFC 6901.
    public let pointer: String
    public let message: String

    public var description: String { pointer.isEmpty ? message : "\(pointer): \(message)" }
}

public struct JSONSchemaLimits: Sendable {
    /// Subschemas of one schema.
    public var maxNodes = 10_000
    /// Applications of a subschema to a value, in one validation; over it the instance counts as invalid.
    public var maxSteps = 100_000
    /// References and applicators inside each other.
    public var maxDepth = 256
    public var maxViolations = 16
    public var maxSchemaBytes = 64 * 1024
    /// Of all compiled patterns together.
    public var maxPatternBytes = 1 << 20
    /// Items of a pattern that one search may try, over all places where it may begin.
    public var maxPatternSteps = 100_000

    public static let `default` = JSONSchemaLimits()

    public init() {}
}
