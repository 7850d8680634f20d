import Domain
import JSON
import Yams

/// One YAML 1.2 document (core schema) as JSON, with the line on which each value stands. The format itself is read from the JSON, so
/// that a file of the folder and a body of the API are one format.
struct PolicyYAML {
    let document: JSONDocument
    private let name: String
    /// By JSON pointer, from 1.
    private let lines: [String: Int]

    /// nil for a file without a document, as one of comments alone.
    init?(_ text: String, name: String) throws(PolicyFault) {
        let root: Node?
        do { root = try Yams.compose(yaml: text) } catch {
            throw PolicyFault(file: name, line: Self.line(of: error, text), message: Self.text(of: error))
        }
        guard let root else { return nil }
        var converter = Converter(name: name)
        try converter.convert(root, "")
        do { document = try JSONDocument(parsing: converter.writer.bytes) } catch {
            throw PolicyFault(file: name, line: 1, message: "cannot be read: \(error)")
        }
        self.name = name
        lines = converter.lines
    }

    /// The line of a place, or of what stands around it.
    func line(_ pointer: String) -> Int {
        var pointer = pointer[...]
        while true {
            if let line = lines[String(pointer)] { return line }
            guard let slash = pointer.lastIndex(of: "/") else { return 1 }
            pointer = pointer[..<slash]
        }
    }

    func read<R>(_ body: (JSONNode) throws(JSONViolation) -> R) throws(PolicyFault) -> R {
        do { return try body(document.root) } catch {
            let place = error.pointer.isEmpty ? "" : "\(error.pointer.dropFirst().replacing("/", with: ".")) "
            throw PolicyFault(file: name, line: line(error.pointer), message: place + error.message)
        }
    }

    private static func line(of error: any Error, _ text: String) -> Int {
        guard let error = error as? YamlError else { return 1 }
        return switch error {
        case .scanner(_, _, let mark, _), .parser(_, _, let mark, _), .composer(_, _, let mark, _): mark.line
        case .duplicatedKeysInMapping(let keys, let context): Self.line(ofSecond: keys.first ?? "", from: context.mark.line, in: text)
        default: 1
        }
    }

    /// What is known is where the mapping begins; the key's second line is found by its text, and in a mapping on one line is that one.
    private static func line(ofSecond key: String, from first: Int, in text: String) -> Int {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).enumerated().dropFirst(max(0, first - 1))
        let found = lines.filter { _, line in
            let start = line.drop { $0 == " " || $0 == "-" }
            return start.hasPrefix("\(key):") || start.hasPrefix("\"\(key)\":") || start.hasPrefix("'\(key)':")
        }
        return found.dropFirst().first.map { $0.offset + 1 } ?? first
    }

    private static func text(of error: any Error) -> String {
        guard let error = error as? YamlError else { return "is not valid YAML: \(error)" }
        return switch error {
        case .scanner(_, let problem, _, _), .parser(_, let problem, _, _), .composer(_, let problem, _, _):
            "is not valid YAML: \(problem)"
        case .duplicatedKeysInMapping(let keys, _): "key \(keys.joined(separator: ", ")) is given twice"
        default: "is not valid YAML: \(error)"
        }
    }

    private struct Converter {
        let name: String
        var writer = JSONWriter(capacity: 16 * 1024)
        var lines: [String: Int] = [:]
        private var values = 0
        private var depth = 0

        init(name: String) { self.name = name }

        mutating func convert(_ node: Node, _ pointer: String) throws(PolicyFault) {
            let line = node.mark?.line ?? 1
            if lines[pointer] == nil { lines[pointer] = line }
            values += 1
            depth += 1
            defer { depth -= 1 }
            // An alias is written out wherever it is used, which may be more than any memory.
            guard values <= Limits.maxPolicyFileValues, depth < Limits.maxJSONDepth else {
                throw PolicyFault(file: name, line: line, message: "holds more values, or deeper ones, than a policy may; mind its aliases")
            }
            switch node {
            case .scalar(let scalar): write(scalar)
            case .sequence(let sequence):
                writer.beginArray()
                for (index, element) in sequence.enumerated() { try convert(element, "\(pointer)/\(index)") }
                writer.endArray()
            case .mapping(let mapping): try convert(mapping, pointer)
            case .alias: throw PolicyFault(file: name, line: line, message: "has an alias without its anchor")
            }
        }

        private mutating func convert(_ mapping: Node.Mapping, _ pointer: String) throws(PolicyFault) {
            writer.beginObject()
            var seen: Set<String> = []
            for (key, value) in mapping {
                let line = key.mark?.line ?? 1
                guard let text = key.scalar?.string else { throw PolicyFault(file: name, line: line, message: "has a key that is no text") }
                guard seen.insert(text).inserted else {
                    throw PolicyFault(file: name, line: line, message: "key \(text) is given twice")
                }
                let place = "\(pointer)/\(text.replacing("~", with: "~0").replacing("/", with: "~1"))"
                lines[place] = line
                writer.key(text)
                try convert(value, place)
            }
            writer.endObject()
        }

        /// YAML 1.2's core schema, so `no` and `on` are texts.
        private mutating func write(_ scalar: Node.Scalar) {
            let text = scalar.string
            guard scalar.style == .plain || scalar.style == .any else { return writer.string(text) }
            switch text {
            case "", "~", "null", "Null", "NULL": writer.null()
            case "true", "True", "TRUE": writer.bool(true)
            case "false", "False", "FALSE": writer.bool(false)
            default:
                if let number = try? JSONDocument(parsing: Array(text.utf8)), number.root.kind == .number {
                    writer.raw(bytes: text.utf8)
                } else {
                    writer.string(text)
                }
            }
        }
    }
}

/// What is wrong with the policies, and where.
public struct PolicyFault: Error, Sendable, Hashable, CustomStringConvertible {
    /// nil: the folder itself.
    public let file: String?
    /// From 1.
    public let line: Int?
    /// Reads after the place; says what would be right.
    public let message: String

    init(file: String? = nil, line: Int? = nil, message: String) {
        self.file = file
        self.line = line
        self.message = message
    }

    public var description: String {
        guard let file else { return message }
        return line.map { "\(file):\($0): \(message)" } ?? "\(file): \(message)"
    }
}
