/// Compares two schemas from the side of a caller: a request's must take what it took, a response's must give what it gave.
///
/// `allOf` is merged; `oneOf` and `anyOf` are compared variant by variant, by name. `if`, `not` and the like say what depends on several
/// fields at once, which no reader of two schemas can judge: they are left to review.
final class SchemaComparison {
    typealias Value = SpecDocument.Value
    typealias Change = SpecComparison.Change

    enum Direction { case request, response }

    private let old: SpecDocument
    private let new: SpecDocument
    private let direction: Direction
    private let operation: String
    private var changes: [Change] = []
    /// Pairs under comparison: schemas may contain themselves.
    private var pairs: Set<String> = []

    init(old: SpecDocument, new: SpecDocument, direction: Direction, operation: String) {
        self.old = old
        self.new = new
        self.direction = direction
        self.operation = operation
    }

    func changes(_ before: Value?, _ now: Value?, field: String?) -> [Change] {
        compare(before ?? .map([:]), now ?? .map([:]), field)
        return changes.sorted { $0.description < $1.description }
    }

    private func note(_ field: String?, _ what: String) {
        let change = Change(operation: operation, field: field, what: what)
        if !changes.contains(change) { changes.append(change) }
    }

    private func compare(_ before: Value, _ now: Value, _ field: String?) {
        if let left = before["$ref"]?.text, let right = now["$ref"]?.text {
            guard pairs.insert("\(left) \(right)").inserted else { return }
        }
        let (left, right) = (Shape(before, in: old), Shape(now, in: new))
        if left.variants.isEmpty && right.variants.isEmpty {
            types(left, right, field)
            values(left, right, field)
            bounds(left, right, field)
            properties(left, right, field)
            if let items = left.schema["items"], let successor = right.schema["items"] { compare(items, successor, field) }
        } else {
            variants(left, right, field)
        }
    }

    // MARK: Keywords

    private func types(_ left: Shape, _ right: Shape, _ field: String?) {
        // No `type` takes any.
        guard left.types != right.types else { return }
        let isWider =
            switch direction {
            case .request: right.types.map { now in left.types.map { $0.isSubset(of: now) } ?? false } ?? true
            case .response: left.types.map { before in right.types.map { $0.isSubset(of: before) } ?? false } ?? true
            }
        if !isWider { note(field, "has another type") }
    }

    private func values(_ left: Shape, _ right: Shape, _ field: String?) {
        switch direction {
        case .request:
            guard let now = right.values else { return }
            if left.values.map({ !$0.isSubset(of: now) }) ?? true { note(field, "takes fewer values") }
        case .response:
            // New values may come at any time; one that never changed may not become another.
            if let before = left.schema["const"], let now = right.schema["const"], before != now { note(field, "has another value") }
        }
    }

    private func bounds(_ left: Shape, _ right: Shape, _ field: String?) {
        for keyword in ["pattern", "format"] {
            let (before, now) = (left.schema[keyword]?.text, right.schema[keyword]?.text)
            guard before != now else { continue }
            if direction == .request ? now != nil : keyword == "format" && before != nil { note(field, "has another \(keyword)") }
        }
        guard direction == .request else { return }
        func number(_ shape: Shape, _ keyword: String) -> Double? { shape.schema[keyword]?.text.flatMap { Double($0) } }
        for keyword in ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"] {
            if let now = number(right, keyword), number(left, keyword).map({ $0 < now }) ?? true { note(field, "has a higher \(keyword)") }
        }
        for keyword in ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"] {
            if let now = number(right, keyword), number(left, keyword).map({ $0 > now }) ?? true { note(field, "has a lower \(keyword)") }
        }
        if right.schema["uniqueItems"]?.text == "true", left.schema["uniqueItems"]?.text != "true" { note(field, "must be unique now") }
    }

    private func properties(_ left: Shape, _ right: Shape, _ field: String?) {
        for (name, schema) in left.properties.sorted(by: { $0.key < $1.key }) {
            if let successor = right.properties[name] {
                compare(schema, successor, name)
            } else if direction == .response {
                note(name, "is gone")
            } else if right.isClosed {
                note(name, "is no longer taken")
            }
        }
        switch direction {
        case .request:
            for name in right.required.subtracting(left.required).sorted() { note(name, "is required now") }
            if right.isClosed, !left.isClosed { note(field, "takes no other fields now") }
        case .response:
            for name in left.required.subtracting(right.required).sorted() where right.properties[name] != nil {
                note(name, "may be absent now")
            }
        }
    }

    private func variants(_ left: Shape, _ right: Shape, _ field: String?) {
        let (before, now) = (left.named, right.named)
        for (name, schema) in before.sorted(by: { $0.key < $1.key }) {
            if let successor = now[name] {
                compare(schema, successor, field)
            } else {
                note(field, direction == .request ? "no longer takes \(name)" : "is never \(name) now")
            }
        }
        // A kind of object that is told apart by a field of its own may be added; another type may not.
        guard direction == .response else { return }
        for name in now.keys.sorted() where before[name] == nil && !name.hasPrefix("object") && !name.hasPrefix("#") {
            note(field, "may be \(name) now")
        }
    }
}

extension SchemaComparison {
    /// A schema with its references followed and its `allOf` merged.
    struct Shape {
        let schema: Value
        /// nil: any.
        let types: Set<String>?
        let values: Set<String>?
        let properties: [String: Value]
        let required: Set<String>
        let isClosed: Bool
        let variants: [Value]
        private let source: Value
        private let document: SpecDocument

        init(_ value: Value, in document: SpecDocument) {
            let schema = document.resolved(value)
            let parts = [schema] + (schema["allOf"]?.items ?? []).map { Self.merged($0, in: document) }
            var properties: [String: Value] = [:]
            var required: Set<String> = []
            for part in parts {
                properties.merge(part["properties"]?.fields ?? [:]) { $1 }
                required.formUnion(part["required"]?.texts ?? [])
            }
            // Where nothing is said but properties, an object is meant.
            var types = parts.lazy.compactMap { $0["type"]?.textOrTexts }.first.map(Set.init)
            if types?.contains("number") == true { types?.insert("integer") }
            self.schema = schema
            self.types = types
            self.properties = properties
            self.required = required
            values = schema["const"]?.text.map { [$0] } ?? schema["enum"].map { Set($0.texts) }
            isClosed = parts.contains { $0["additionalProperties"]?.text == "false" }
            // Variants that only say which fields go together are no kinds of value.
            let candidates = schema["oneOf"]?.items ?? schema["anyOf"]?.items ?? []
            variants = candidates.allSatisfy { $0["required"] != nil && $0["type"] == nil && $0["$ref"] == nil } ? [] : candidates
            source = value
            self.document = document
        }

        private static func merged(_ value: Value, in document: SpecDocument) -> Value {
            let shape = Shape(value, in: document)
            var fields = shape.schema.fields
            fields["properties"] = .map(shape.properties)
            fields["required"] = .list(shape.required.sorted().map { .scalar($0) })
            return .map(fields)
        }

        /// The kinds of value, each under the name of its schema or its type; one kind where there are no variants.
        var named: [String: Value] {
            let kinds = variants.isEmpty ? [source] : variants
            return Dictionary(
                kinds.enumerated().map { index, kind in
                    if let reference = kind["$ref"]?.text { return (reference, kind) }
                    let types = Shape(kind, in: document).types?.sorted().joined(separator: ",") ?? "any"
                    return (types == "object" ? "object \(index)" : types, kind)
                }
            ) { first, _ in first }
        }
    }
}
