/// What a caller of the old description would stumble over in the new one. What is allowed within a version: docs/VERSIONING.md.
struct SpecComparison {
    struct Change: Hashable, CustomStringConvertible {
        /// The operation's id in the old description.
        let operation: String
        /// The parameter, header or field; nil where the operation as a whole is meant.
        let field: String?
        let what: String

        var description: String { field.map { "\(operation): \($0) \(what)" } ?? "\(operation) \(what)" }

        /// A breaking change is named by an entry of the changelog that says so, with the operation's id and the field.
        func isNamed(in entries: [String]) -> Bool {
            entries.contains { entry in
                entry.contains("**Breaking**") && entry.contains("`\(operation)`") && (field.map { entry.contains("`\($0)`") } ?? true)
            }
        }
    }

    let old: SpecDocument
    let new: SpecDocument

    var breakingChanges: [Change] {
        let successors = new.operations
        return old.operations.sorted { $0.key < $1.key }.flatMap { key, operation in
            guard let successor = successors[key] else { return [Change(operation: operation.id, field: nil, what: "is gone")] }
            return changes(from: operation, to: successor)
        }
    }

    private func changes(from old: SpecDocument.Operation, to new: SpecDocument.Operation) -> [Change] {
        var changes: [Change] = []
        func note(_ field: String?, _ what: String) { changes.append(Change(operation: old.id, field: field, what: what)) }
        if old.id != new.id { note(nil, "has another operationId") }
        let (before, now) = (old.value["x-required-scope"]?.text, new.value["x-required-scope"]?.text)
        if let now, before != now { note(nil, "needs the scope \(now)") }
        changes += parameterChanges(old, new)
        changes += bodyChanges(old, new)
        changes += responseChanges(old, new)
        return changes
    }

    private func parameterChanges(_ old: SpecDocument.Operation, _ new: SpecDocument.Operation) -> [Change] {
        func table(_ parameters: [SpecDocument.Value]) -> [String: SpecDocument.Value] {
            Dictionary(parameters.map { ("\($0["in"]?.text ?? "") \($0["name"]?.text ?? "")", $0) }) { $1 }
        }
        let (before, now) = (table(old.parameters), table(new.parameters))
        var changes: [Change] = []
        for (key, parameter) in before.sorted(by: { $0.key < $1.key }) {
            let name = parameter["name"]?.text ?? key
            guard let successor = now[key] else {
                changes.append(Change(operation: old.id, field: name, what: "is no longer taken"))
                continue
            }
            changes += schemas(.request, old.id).changes(parameter["schema"], successor["schema"], field: name)
        }
        for (key, parameter) in now.sorted(by: { $0.key < $1.key }) where parameter["required"]?.text == "true" {
            guard before[key]?["required"]?.text != "true" else { continue }
            changes.append(Change(operation: old.id, field: parameter["name"]?.text ?? key, what: "is required now"))
        }
        return changes
    }

    private func bodyChanges(_ old: SpecDocument.Operation, _ new: SpecDocument.Operation) -> [Change] {
        let before = old.value["requestBody"].map(self.old.resolved)
        let now = new.value["requestBody"].map(self.new.resolved)
        var changes: [Change] = []
        if now?["required"]?.text == "true", before?["required"]?.text != "true" {
            changes.append(Change(operation: old.id, field: nil, what: "needs a body now"))
        }
        guard let before else { return changes }
        for (type, content) in before["content"]?.fields ?? [:] {
            guard let successor = now?["content"]?[type] else {
                changes.append(Change(operation: old.id, field: nil, what: "no longer takes \(type)"))
                continue
            }
            changes += schemas(.request, old.id).changes(content["schema"], successor["schema"], field: nil)
        }
        return changes
    }

    private func responseChanges(_ old: SpecDocument.Operation, _ new: SpecDocument.Operation) -> [Change] {
        var changes: [Change] = []
        // Failures may come and go: a client handles any, by its class and its code.
        for (status, response) in old.value["responses"]?.fields ?? [:] where status.hasPrefix("2") || status.hasPrefix("1") {
            guard let successor = new.value["responses"]?[status].map(self.new.resolved) else {
                changes.append(Change(operation: old.id, field: nil, what: "no longer answers \(status)"))
                continue
            }
            let before = self.old.resolved(response)
            for name in before["headers"]?.fields.keys.sorted() ?? [] where successor["headers"]?[name] == nil {
                changes.append(Change(operation: old.id, field: name, what: "is no longer sent"))
            }
            for (type, content) in before["content"]?.fields ?? [:] {
                guard let now = successor["content"]?[type] else {
                    changes.append(Change(operation: old.id, field: nil, what: "no longer answers \(type)"))
                    continue
                }
                changes += schemas(.response, old.id).changes(content["schema"], now["schema"], field: nil)
            }
        }
        return changes.sorted { $0.description < $1.description }
    }

    private func schemas(_ direction: SchemaComparison.Direction, _ operation: String) -> SchemaComparison {
        SchemaComparison(old: old, new: new, direction: direction, operation: operation)
    }
}
