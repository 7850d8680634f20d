public import JSON

/// A compiled JSON Schema, draft 2020-12 (https://json-schema.org/draft/2020-12). `format` and the content keywords are annotations,
/// as the draft has it; references reach the schema itself, what it embeds, and the draft's metaschema, never the network.
public struct JSONSchema: Sendable {
    let nodes: [SchemaNode]
    /// Dynamic anchors of each resource, by name.
    let dynamicAnchors: [[String: Int]]
    private let limits: JSONSchemaLimits
    /// About what it takes in memory, in bytes. A compiled pattern may be a thousand times as large as its text.
    public let compiledBytes: Int
    let patternBytes: Int

    /// Throws with the place in the schema when it is none.
    public init(_ schema: JSONNode, limits: JSONSchemaLimits = .default) throws(JSONSchemaError) {
        var compiler = SchemaCompiler(limits: limits)
        try compiler.compile(schema)
        nodes = compiler.nodes
        dynamicAnchors = compiler.resources.map(\.dynamicAnchors)
        self.limits = limits
        patternBytes = compiler.patternBytes
        compiledBytes = patternBytes + nodes.count * Self.bytesPerNode + schema.raw.count * Self.bytesPerByte
    }

    /// A node with its keywords, and what keeps texts and values of the schema, measured generously.
    private static let bytesPerNode = 256
    private static let bytesPerByte = 4

    public init(_ schema: RawJSON, limits: JSONSchemaLimits = .default) throws(JSONSchemaError) {
        let document: JSONDocument
        do { document = try schema.document() } catch { throw JSONSchemaError(pointer: "", message: "is no JSON: \(error)") }
        try self.init(document.root, limits: limits)
    }

    /// Of one validation that is asked by itself.
    private var budget: JSONSchemaBudget { JSONSchemaBudget(steps: limits.maxSteps, patternSteps: limits.maxPatternStepsInSum) }

    /// What is wrong with an instance, at most `limits.maxViolations`; empty: it is valid.
    public func violations(of instance: JSONNode) -> [JSONViolation] {
        var budget = budget
        return violations(of: instance, within: &budget)
    }

    /// The same, out of a budget that others share.
    public func violations(of instance: JSONNode, within budget: inout JSONSchemaBudget) -> [JSONViolation] {
        var validator = SchemaValidator(self, limits: limits, budget)
        defer { budget = validator.budget }
        return validator.validate(instance)
    }

    public enum Verdict: Sendable, Hashable {
        case accepts, rejects
        /// A bound was reached before it was known.
        case undecided
    }

    /// For those to whom "nobody knows" is not the same as "no".
    public func verdict(on instance: JSONNode) -> Verdict {
        var budget = budget
        return verdict(on: instance, within: &budget)
    }

    /// The same, out of a budget that others share.
    public func verdict(on instance: JSONNode, within budget: inout JSONSchemaBudget) -> Verdict {
        var validator = SchemaValidator(self, limits: limits, budget)
        defer { budget = validator.budget }
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
    /// Items of a pattern that one search may try, over all places where it may begin, and bytes that it passes over.
    public var maxPatternSteps = 100_000
    /// The same of all searches of one validation.
    public var maxPatternStepsInSum = 1_000_000

    public static let `default` = JSONSchemaLimits()

    public init() {}
}
