import JSON

/// A body that an operation must refuse.
public struct BadBody: Sendable {
    /// What is wrong with it.
    public let name: String
    public let bytes: [UInt8]
    /// Where it is wrong, RFC 6901.
    public let pointer: String
    /// What is no JSON that is taken at all. Its place is exact; that of a value may be what it is part of, or a field that goes with it.
    public var isMalformed = false
}

/// Makes bad bodies of a good one, from what the schema allows: each has one fault.
public struct BadBodies {
    private let contract: Contract
    private let schema: SpecValue
    private let base: SpecValue
    private var found: [BadBody] = []
    private var seen: Set<[UInt8]> = []

    private static let depth = 6

    /// - Parameter base: fits the schema.
    public static func of(_ schema: SpecValue, base: SpecValue, _ contract: Contract) throws -> [BadBody] {
        var bodies = BadBodies(contract: contract, schema: schema, base: base)
        try bodies.walk(schema, base, "", depth: 0) { $0 }
        bodies.addMalformed()
        return bodies.found
    }

    private init(contract: Contract, schema: SpecValue, base: SpecValue) {
        self.contract = contract
        self.schema = schema
        self.base = base
    }

    // MARK: Values that do not fit

    private mutating func add(_ name: String, _ pointer: String, _ body: SpecValue, isCertain: Bool = false) throws {
        let json = body.json
        // What fits after all is no fault; formats are not in what the schema's validation looks at.
        guard try isCertain || !contract.violations(of: json, schema: schema).isEmpty else { return }
        guard seen.insert(json.bytes).inserted else { return }
        found.append(BadBody(name: "\(pointer.isEmpty ? "the body" : pointer) \(name)", bytes: json.bytes, pointer: pointer))
    }

    private mutating func walk(
        _ schema: SpecValue, _ value: SpecValue?, _ pointer: String, depth: Int, _ whole: (SpecValue) -> SpecValue
    ) throws {
        guard depth < Self.depth else { return }
        let schema = try bare(schema)
        let others: [(String, SpecValue)] = [
            ("null", .null), ("true", .bool(true)), ("a number", .number("7")), ("a fraction", .number("1.5")), ("text", .string("text")),
            ("an empty list", .array([])), ("an empty object", .object([])), ("a list of itself", .array([value ?? .null])),
        ]
        for (name, other) in others { try add("is \(name)", pointer, whole(other)) }
        try addOutOfRange(schema, pointer, whole)
        try walkMembers(schema, value, pointer, depth: depth, whole)
        if let items = schema["items"], case .array(let elements)? = value, let first = elements.first {
            try walk(items, first, pointer + "/0", depth: depth + 1) { element in whole(.array([element] + elements.dropFirst())) }
        }
        if let list = value?.elements, let first = list.first, schema["uniqueItems"]?.bool == true {
            try add("has an element twice", pointer, whole(.array(list + [first])))
        }
    }

    private mutating func walkMembers(
        _ schema: SpecValue, _ value: SpecValue?, _ pointer: String, depth: Int, _ whole: (SpecValue) -> SpecValue
    ) throws {
        guard case .object? = value, let value else { return }
        try add("has an unknown field", pointer + "/surprise", whole(value.with("surprise", .number("1"))))
        for name in (schema["required"]?.elements ?? []).compactMap(\.string) {
            try add("is missing", "\(pointer)/\(name)", whole(value.with(name, nil)))
        }
        for property in schema["properties"]?.members ?? [] {
            try walk(property.value, value[property.key], "\(pointer)/\(property.key)", depth: depth + 1) { changed in
                whole(value.with(property.key, changed))
            }
        }
    }

    private mutating func addOutOfRange(_ schema: SpecValue, _ pointer: String, _ whole: (SpecValue) -> SpecValue) throws {
        if let minimum = schema["minimum"]?.int { try add("is below its minimum", pointer, whole(.number(String(minimum - 1)))) }
        if let maximum = schema["maximum"]?.int, maximum < .max {
            try add("is above its maximum", pointer, whole(.number(String(maximum + 1))))
            try add("is far above its maximum", pointer, whole(.number("1" + String(repeating: "0", count: 400))), isCertain: true)
            try add("is written as a fraction", pointer, whole(.number("\(maximum).5")))
        }
        if let length = schema["maxLength"]?.int {
            try add("is too long", pointer, whole(.string(String(repeating: "a", count: length + 1))))
        }
        if schema["minLength"] != nil || schema["pattern"] != nil { try add("is empty", pointer, whole(.string(""))) }
        if schema["pattern"] != nil {
            for text in ["\u{1}", " ", "a b\n", "☃"] { try add("does not match", pointer, whole(.string(text))) }
        }
        if schema["enum"] != nil || schema["const"] != nil { try add("is no known value", pointer, whole(.string("no-such-value"))) }
        if let format = schema["format"]?.string {
            for text in ["nothing", "0198c1ef", "2026-13-45T99:99:99Z", "urn:uuid:0198c1ef-9a40-7d12-8c77-5b1e0f3a9001"] {
                try add("is no \(format)", pointer, whole(.string(text)), isCertain: true)
            }
        }
        if let count = schema["maxItems"]?.int, count < 2000 {
            let item = schema["items"].flatMap { try? bare($0) }?["examples"]?.elements.first ?? .string("a")
            try add("has too many elements", pointer, whole(.array(Array(repeating: item, count: count + 1))))
        }
        if let count = schema["maxProperties"]?.int {
            let members = (0...count).map { SpecValue.Member("k\($0)", .string("v")) }
            try add("has too many members", pointer, whole(.object(members)))
        }
    }

    /// References followed, and of a value or null, the value.
    private func bare(_ schema: SpecValue) throws -> SpecValue {
        let followed = try SpecReader(root: contract.document.root).followed(schema)
        let choices = followed["oneOf"]?.elements.filter { $0["type"]?.string != "null" } ?? []
        return choices.count == 1 ? try bare(choices[0]) : followed
    }

    // MARK: What is no JSON

    private mutating func addMalformed() {
        func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
        let text = base.json.string
        var bodies: [(String, String, [UInt8])] = [
            ("a cut body", "", bytes(String(text.dropLast()))), ("two bodies", "", bytes(text + text)),
            ("something behind the body", "", bytes(text + " x")), ("a byte order mark", "", [0xEF, 0xBB, 0xBF] + bytes(text)),
            ("UTF-16", "", text.utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }), ("a comment", "", bytes("/* x */" + text)),
            ("no JSON", "", bytes("name=value")), ("NaN", "/a", bytes(#"{"a":NaN}"#)), ("a comma too many", "", bytes(#"{"a":1,}"#)),
            ("quotes of the wrong kind", "", bytes("{'a':1}")),
            ("bad UTF-8", "/a", bytes(#"{"a":""#) + [0xFF, 0xFE] + bytes(#""}"#)),
            ("an overlong encoding", "/a", bytes(#"{"a":""#) + [0xC0, 0x80] + bytes(#""}"#)),
            ("bad UTF-8 in a key", "", bytes(#"{"a":1,"b"#) + [0xFF] + bytes(#"":2}"#)),
            ("bad UTF-8 far within", "/a/1/b~1c", bytes(#"{"a":[{"b/c":1},{"x":{},"b/c":""#) + [0xFF] + bytes(#""}]}"#)),
            ("half a surrogate", "/a", bytes(#"{"a":"\ud800"}"#)), ("a raw NUL", "/a", bytes("{\"a\":\"\u{0}\"}")),
            ("a number with a leading zero", "/a", bytes(#"{"a":007}"#)), ("a list that is cut", "/a/1", bytes(#"{"a":[1,"#)),
            ("a key twice far within", "/a/1/b~0", bytes(#"{"a":[{"b~":1},{"b~":1,"c":{},"b\u007e":2}]}"#)),
            (
                "deep lists", "/a" + String(repeating: "/0", count: Self.maxDepth - 1),
                bytes(#"{"a":"# + String(repeating: "[", count: 100) + String(repeating: "]", count: 100) + "}")
            ),
            (
                "deep objects", String(repeating: "/a", count: Self.maxDepth),
                bytes(String(repeating: #"{"a":"#, count: 100) + "1" + String(repeating: "}", count: 100))
            ),
            ("bottomless lists", String(repeating: "/0", count: Self.maxDepth), bytes(String(repeating: "[", count: 20_000))),
        ]
        if let first = base.members.first {
            let member = "\(SpecValue.string(first.key).json):\(first.value.json)"
            bodies.append(("a key twice", "/" + first.key, bytes("{\(member),\(member)}")))
            let escaped = first.key.utf16.map {
                "\\u" + String(repeating: "0", count: 4 - String($0, radix: 16).count) + String($0, radix: 16)
            }
            bodies.append(("a key twice, once in escapes", "/" + first.key, bytes("{\(member),\"\(escaped.joined())\":1}")))
        }
        found += bodies.map { BadBody(name: $0.0, bytes: $0.2, pointer: $0.1, isMalformed: true) }
    }

    /// Levels that the gateway takes; what stands on the next one is too deep.
    private static let maxDepth = 64
}
