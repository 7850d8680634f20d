import FoundationEssentials

/// `openapi.yaml`, read once. References are followed within it.
public struct ContractDocument: Sendable {
    public let root: SpecValue
    public let operations: [ContractOperation]
    /// What is answered where no operation is: by status.
    let besideOperations: [Int: ContractResponse]

    public static let file: String = {
        // Tests/Contract/ContractDocument.swift → the repository.
        var parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        parts.removeLast(3)
        return (parts + ["openapi.yaml"]).joined(separator: "/")
    }()

    public init(file: String = Self.file) throws {
        guard let bytes = FileManager.default.contents(atPath: file), let text = String(validating: bytes, as: UTF8.self) else {
            throw ContractError("\(file) cannot be read")
        }
        try self.init(yaml: text)
    }

    public init(yaml text: String) throws {
        let root = try SpecValue(yaml: text)
        let reader = SpecReader(root: root)
        self.root = root
        operations = try reader.operations()
        besideOperations = try reader.responses(root["x-answers-beside-operations"])
    }

    /// Follows `#/…` (RFC 6901); nil where it leads nowhere.
    public func resolve(_ reference: String) -> SpecValue? { SpecReader(root: root).resolve(reference) }

    /// The operation of a method and a path; what is written out wins over what is a parameter. HEAD is its GET. A path that is no
    /// percent-encoded text (RFC 3986 §2.1, in UTF-8) is no operation's.
    public func operation(_ method: String, _ target: String) -> ContractOperation? {
        let text = target.prefix { $0 != "?" }
        guard !text.contains("%") || Contract.bytes(percentDecoding: text).map({ String(validating: $0, as: UTF8.self) != nil }) ?? false
        else { return nil }
        let path = text.split(separator: "/", omittingEmptySubsequences: false)
        let method = method == "HEAD" ? "GET" : method
        return operations.filter { $0.method == method && $0.matches(path) }.max { $0.literalParts < $1.literalParts }
    }

    /// Every schema that has examples or is an example's, with the place of each.
    public var examples: [(place: String, schema: SpecValue, example: SpecValue)] {
        var found: [(String, SpecValue, SpecValue)] = []
        func walk(_ value: SpecValue, _ place: String) {
            if let schema = value["schema"], let example = value["example"] { found.append((place, schema, example)) }
            if let schema = value["schema"] {
                for named in value["examples"]?.members ?? [] {
                    if let example = named.value["value"] { found.append(("\(place)/\(named.key)", schema, example)) }
                }
            } else if case .array(let examples)? = value["examples"] {
                for (index, example) in examples.enumerated() { found.append(("\(place)/examples/\(index)", value, example)) }
            }
            for member in value.members where !["example", "examples", "default", "const", "enum"].contains(member.key) {
                walk(member.value, "\(place)/\(member.key)")
            }
            for (index, element) in value.elements.enumerated() { walk(element, "\(place)/\(index)") }
        }
        walk(root, "#")
        return found
    }
}

/// Finds the parts of the description, following references.
struct SpecReader {
    let root: SpecValue

    func resolve(_ reference: String) -> SpecValue? {
        guard reference.hasPrefix("#/") else { return nil }
        var place = root
        for part in reference.dropFirst(2).split(separator: "/", omittingEmptySubsequences: false) {
            let key = String(part).replacing("~1", with: "/").replacing("~0", with: "~")
            guard let next = place[key] else { return nil }
            place = next
        }
        return place
    }

    /// The thing itself. Of a reference's siblings, the description counts (OpenAPI 3.1 §4.8.23).
    func followed(_ value: SpecValue) throws -> SpecValue {
        guard let reference = value["$ref"]?.string else { return value }
        guard let target = resolve(reference) else { throw ContractError("\(reference) is not there") }
        let found = try followed(target)
        return value["description"].map { found.with("description", $0) } ?? found
    }

    func operations() throws -> [ContractOperation] {
        var found: [ContractOperation] = []
        for path in root["paths"]?.members ?? [] {
            let shared = path.value["parameters"]?.elements ?? []
            for item in path.value.members where ["get", "put", "post", "patch", "delete"].contains(item.key) {
                guard let id = item.value["operationId"]?.string else { throw ContractError("\(item.key) \(path.key) has no operationId") }
                let parameters = try (shared + (item.value["parameters"]?.elements ?? [])).map(followed)
                found.append(
                    ContractOperation(
                        method: item.key.uppercased(), path: path.key, operationID: id, scope: item.value["x-required-scope"]?.string,
                        runToken: item.value["x-run-token"]?.string,
                        auditActions: (item.value["x-audit-actions"]?.elements ?? []).compactMap(\.string), parameters: parameters,
                        requestBody: try item.value["requestBody"].map(followed), responses: try responses(item.value["responses"])))
            }
        }
        return found
    }

    func responses(_ value: SpecValue?) throws -> [Int: ContractResponse] {
        var found: [Int: ContractResponse] = [:]
        for member in value?.members ?? [] {
            guard let status = Int(member.key) else { throw ContractError("\(member.key) is no status") }
            let response = try followed(member.value)
            var headers: [(name: String, isRequired: Bool, schema: SpecValue)] = []
            for header in response["headers"]?.members ?? [] {
                let followed = try followed(header.value)
                headers.append((header.key, followed["required"]?.bool ?? false, followed["schema"] ?? .bool(true)))
            }
            found[status] = ContractResponse(
                headers: headers, content: response["content"]?.members ?? [], codes: Self.codes(response["description"]?.string ?? ""))
        }
        return found
    }

    /// The items of the description's list that begin with a code: "- `agent_exists`: the name is taken."
    static func codes(_ description: String) -> Set<String> {
        Set(description.matches(of: /(?m)^- `([a-z][a-z0-9_]*)`:/).map { String($0.1) })
    }
}
