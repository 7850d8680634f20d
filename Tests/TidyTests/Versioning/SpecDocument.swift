import Yams

/// An OpenAPI document as plain values, whose `$ref`s are followed where they stand.
struct SpecDocument {
    indirect enum Value: Equatable {
        case map([String: Value])
        case list([Value])
        case scalar(String)

        subscript(_ key: String) -> Value? { if case .map(let fields) = self { fields[key] } else { nil } }
        var fields: [String: Value] { if case .map(let fields) = self { fields } else { [:] } }
        var items: [Value] { if case .list(let items) = self { items } else { [] } }
        var text: String? { if case .scalar(let text) = self { text } else { nil } }
        var texts: [String] { items.compactMap(\.text) }
        /// A keyword that takes one text or several, such as `type`.
        var textOrTexts: [String] { text.map { [$0] } ?? texts }

        fileprivate init(_ node: Node) {
            switch node {
            case .mapping(let mapping):
                var fields: [String: Value] = [:]
                for (key, value) in mapping { fields[key.string ?? "?"] = Value(value) }
                self = .map(fields)
            case .sequence(let sequence): self = .list(sequence.map { Value($0) })
            case .scalar(let scalar): self = .scalar(scalar.string)
            case .alias: self = .scalar("*")
            }
        }
    }

    struct Unreadable: Error {}

    let root: Value

    init(yaml: String) throws {
        guard let node = try Yams.compose(yaml: yaml) else { throw Unreadable() }
        root = Value(node)
    }

    /// What a value stands for: a reference is followed, and what stands beside `$ref` lies over it (3.1).
    func resolved(_ value: Value) -> Value {
        var value = value
        // A chain of references that is longer is a circle.
        for _ in 0..<16 {
            guard let reference = value["$ref"]?.text else { return value }
            var fields = target(reference).fields
            for (key, sibling) in value.fields where key != "$ref" { fields[key] = sibling }
            value = .map(fields)
        }
        return value
    }

    private func target(_ reference: String) -> Value {
        reference.split(separator: "/").dropFirst().reduce(root) { value, part in
            value[String(part).replacing("~1", with: "/").replacing("~0", with: "~")] ?? .map([:])
        }
    }

    struct Operation {
        let method: String
        let path: String
        let value: Value
        /// The path's, then its own.
        let parameters: [Value]

        var id: String { value["operationId"]?.text ?? "\(method) \(path)" }
    }

    private static let methods: Set<String> = ["get", "put", "post", "delete", "options", "head", "patch", "trace"]

    /// By `METHOD path`.
    var operations: [String: Operation] {
        var operations: [String: Operation] = [:]
        for (path, item) in root["paths"]?.fields ?? [:] {
            for (method, value) in item.fields where Self.methods.contains(method) {
                let parameters = ((item["parameters"]?.items ?? []) + (value["parameters"]?.items ?? [])).map(resolved)
                operations["\(method.uppercased()) \(path)"] = Operation(
                    method: method, path: path, value: value, parameters: parameters)
            }
        }
        return operations
    }
}
