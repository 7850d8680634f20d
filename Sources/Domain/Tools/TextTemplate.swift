public import JSON

/// Text with places for arguments of a call, `{{name}}` or `{{order.id}}`, and for the tenant's secrets, `${secret.NAME}`. What is put
/// in is never read again, so that an argument cannot name a secret.
public struct TextTemplate: Sendable, Hashable {
    public enum Part: Sendable, Hashable {
        case text(String)
        case argument([String])
        case secret(String)
    }

    public let parts: [Part]

    public init(_ text: String) throws(TemplateError) {
        var parts: [Part] = []
        var rest = Substring(text)
        while let start = Self.opening(rest) {
            if start > rest.startIndex { parts.append(.text(String(rest[..<start]))) }
            rest = rest[start...]
            let isArgument = rest.first == "{"
            guard let end = rest.firstRange(of: isArgument ? "}}" : "}") else {
                throw TemplateError("has a place that is opened and never closed")
            }
            let inner = rest[rest.index(start, offsetBy: 2)..<end.lowerBound]
            parts.append(isArgument ? .argument(try Self.path(inner)) : .secret(try Self.secret(inner)))
            rest = rest[end.upperBound...]
        }
        if !rest.isEmpty { parts.append(.text(String(rest))) }
        self.parts = parts
    }

    private static func opening(_ text: Substring) -> String.Index? {
        var previous: (index: String.Index, byte: UInt8)?
        for index in text.utf8.indices {
            let byte = text.utf8[index]
            if let previous, byte == UInt8(ascii: "{"), previous.byte == UInt8(ascii: "{") || previous.byte == UInt8(ascii: "$") {
                return previous.index
            }
            previous = (index, byte)
        }
        return nil
    }

    private static func path(_ text: Substring) throws(TemplateError) -> [String] {
        let names = text.filter { $0 != " " }.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard (1...8).contains(names.count), names.allSatisfy(isArgumentName) else {
            throw TemplateError("has {{\(text.prefix(64))}}, which names no argument: write {{name}} or {{object.member}}")
        }
        return names
    }

    private static func isArgumentName(_ name: String) -> Bool {
        (1...128).contains(name.utf8.count)
            && name.utf8.allSatisfy { Names.isAlphanumeric($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-") }
    }

    private static func secret(_ text: Substring) throws(TemplateError) -> String {
        guard text.hasPrefix("secret."), SecretName.isValid(text.dropFirst("secret.".count)) else {
            throw TemplateError("has ${\(text.prefix(64))}; only ${secret.NAME} is known, and it names a secret of the tenant")
        }
        return String(text.dropFirst("secret.".count))
    }

    public var secretNames: Set<String> {
        parts.reduce(into: []) { names, part in if case .secret(let name) = part { names.insert(name) } }
    }

    /// The path, where there is nothing but one argument.
    public var onlyArgument: [String]? {
        if parts.count == 1, case .argument(let path) = parts[0] { path } else { nil }
    }

    /// The text with everything put in, each value through `encode`; nil when an argument is absent or null.
    func filled(
        _ values: TemplateValues, encode: (String) throws(TemplateError) -> String
    ) throws(TemplateError) -> String? {
        var text = ""
        for part in parts {
            switch part {
            case .text(let literal): text += literal
            case .secret(let name): text += try encode(try values.secret(name))
            case .argument(let path):
                guard let value = values.argument(path) else { return nil }
                text += try encode(value)
            }
            guard text.utf8.count <= Limits.maxToolRequestBytes else {
                throw TemplateError("is longer than \(Limits.maxToolRequestBytes) bytes with the arguments put in")
            }
        }
        return text
    }
}

/// What goes into templates: a call's arguments, and the secrets that the config names.
public struct TemplateValues {
    private let arguments: MemberIndex
    private let secrets: [String: String]

    public init(arguments: JSONNode, secrets: [Secret]) {
        self.arguments = MemberIndex(arguments)
        self.secrets = Dictionary(secrets.map { ($0.name, $0.value) }) { first, _ in first }
    }

    func secret(_ name: String) throws(TemplateError) -> String {
        guard let value = secrets[name] else { throw TemplateError("needs the secret \(name), which this tenant does not have") }
        return value
    }

    func node(_ path: [String]) -> JSONNode? {
        var place = arguments
        for name in path.dropLast() {
            guard let next = place.object(name) else { return nil }
            place = next
        }
        guard let node = path.last.map({ place.member($0) }) ?? place.node, !node.isNull else { return nil }
        return node
    }

    /// Members of the arguments that were read so far, for all places together.
    var membersRead: Int { arguments.membersRead }

    /// A string as it is, anything else as its JSON; nil when absent or null.
    func argument(_ path: [String]) -> String? {
        node(path).map { $0.string ?? String(decoding: $0.raw, as: UTF8.self) }
    }
}

/// An object's members by their names. It is read once, when the first of them is asked for, so that a template of many places over many
/// members takes time in proportion to both, not to their product.
private final class MemberIndex {
    let node: JSONNode
    private var members: [ExactString: JSONNode]?
    private var objects: [String: MemberIndex] = [:]

    init(_ node: JSONNode) { self.node = node }

    /// nil when there is none; of repeated names, where they were allowed, the last.
    func member(_ name: String) -> JSONNode? {
        let name = ExactString(name)
        if let members { return members[name] }
        // What is no object has none.
        let read = Dictionary(node.members.map { (ExactString($0.key), $0.value) }) { _, last in last }
        members = read
        return read[name]
    }

    func object(_ name: String) -> MemberIndex? {
        if let known = objects[name] { return known }
        guard let node = member(name), node.kind == .object else { return nil }
        let index = MemberIndex(node)
        objects[name] = index
        return index
    }

    var membersRead: Int { objects.values.reduce(members == nil ? 0 : node.count) { $0 + $1.membersRead } }
}

/// What is wrong with a template, or with what was put into it; reads after the name of the field.
public struct TemplateError: Error, Sendable, Hashable, CustomStringConvertible {
    public let message: String

    public init(_ message: String) { self.message = message }

    public var description: String { message }
}
