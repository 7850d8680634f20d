extension JSONObjectReader {
    public mutating func string(_ key: String, maxBytes: Int = 65_536) throws(JSONViolation) -> String {
        try string(node(key), key, maxBytes)
    }

    public mutating func optionalString(_ key: String, maxBytes: Int = 65_536) throws(JSONViolation) -> String? {
        guard let value = try optionalNode(key) else { return nil }
        return try string(value, key, maxBytes)
    }

    /// Written as an integer: `1e2` and `1.0` are refused.
    public mutating func int(_ key: String, in range: ClosedRange<Int>) throws(JSONViolation) -> Int {
        try int(node(key), key, range)
    }

    public mutating func optionalInt(_ key: String, in range: ClosedRange<Int>) throws(JSONViolation) -> Int? {
        guard let value = try optionalNode(key) else { return nil }
        return try int(value, key, range)
    }

    public mutating func double(_ key: String, in range: ClosedRange<Double>) throws(JSONViolation) -> Double {
        try double(node(key), key, range)
    }

    public mutating func optionalDouble(_ key: String, in range: ClosedRange<Double>) throws(JSONViolation) -> Double? {
        guard let value = try optionalNode(key) else { return nil }
        return try double(value, key, range)
    }

    public mutating func bool(_ key: String) throws(JSONViolation) -> Bool {
        guard let value = try node(key).bool else { throw violation(key, "must be true or false") }
        return value
    }

    public mutating func optionalBool(_ key: String) throws(JSONViolation) -> Bool? {
        guard let value = try optionalNode(key) else { return nil }
        guard let bool = value.bool else { throw violation(key, "must be true or false") }
        return bool
    }

    /// `maxBytes` bounds each string.
    public mutating func strings(_ key: String, maxCount: Int = 100, maxBytes: Int = 1024) throws(JSONViolation) -> [String] {
        try strings(node(key), key, maxCount, maxBytes)
    }

    public mutating func optionalStrings(
        _ key: String, maxCount: Int = 100, maxBytes: Int = 1024
    ) throws(JSONViolation) -> [String]? {
        guard let value = try optionalNode(key) else { return nil }
        return try strings(value, key, maxCount, maxBytes)
    }

    public mutating func object(_ key: String) throws(JSONViolation) -> JSONObjectReader {
        try JSONObjectReader(node(key), at: pointer(to: key))
    }

    public mutating func optionalObject(_ key: String) throws(JSONViolation) -> JSONObjectReader? {
        guard let value = try optionalNode(key) else { return nil }
        return try JSONObjectReader(value, at: pointer(to: key))
    }

    private func string(_ value: JSONNode, _ key: String, _ maxBytes: Int) throws(JSONViolation) -> String {
        guard let string = value.string else { throw violation(key, "must be a string") }
        guard string.utf8.count <= maxBytes else { throw violation(key, "must be at most \(maxBytes) bytes of UTF-8") }
        guard !string.utf8.contains(0) else { throw violation(key, Self.noNUL) }
        return string
    }

    /// What ends a C string, and what databases refuse in text, is in no text that is read here.
    private static let noNUL = "must hold no \\u0000"

    private func int(_ value: JSONNode, _ key: String, _ range: ClosedRange<Int>) throws(JSONViolation) -> Int {
        if let int = value.int, range.contains(int) { return int }
        switch (range.lowerBound, range.upperBound) {
        case (.min, .max): throw violation(key, "must be an integer")
        case (let lower, .max): throw violation(key, "must be an integer of at least \(lower)")
        case (.min, let upper): throw violation(key, "must be an integer of at most \(upper)")
        case (let lower, let upper): throw violation(key, "must be an integer from \(lower) to \(upper)")
        }
    }

    private func double(_ value: JSONNode, _ key: String, _ range: ClosedRange<Double>) throws(JSONViolation) -> Double {
        if let double = value.double, range.contains(double) { return double }
        throw violation(key, "must be a number from \(Self.text(range.lowerBound)) to \(Self.text(range.upperBound))")
    }

    private static func text(_ bound: Double) -> String {
        guard bound.isFinite else { return bound < 0 ? "-∞" : "∞" }
        var bytes: [UInt8] = []
        NumberText.appendShortest(bound, into: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    private func strings(
        _ value: JSONNode, _ key: String, _ maxCount: Int, _ maxBytes: Int
    ) throws(JSONViolation) -> [String] {
        guard value.kind == .array else { throw violation(key, "must be an array of strings") }
        guard value.count <= maxCount else { throw violation(key, "must have at most \(maxCount) elements") }
        var strings: [String] = []
        for element in value.elements {
            guard let string = element.string else {
                throw JSONViolation(pointer: "\(pointer(to: key))/\(strings.count)", message: "must be a string")
            }
            guard string.utf8.count <= maxBytes else {
                throw JSONViolation(
                    pointer: "\(pointer(to: key))/\(strings.count)", message: "must be at most \(maxBytes) bytes of UTF-8")
            }
            guard !string.utf8.contains(0) else {
                throw JSONViolation(pointer: "\(pointer(to: key))/\(strings.count)", message: Self.noNUL)
            }
            strings.append(string)
        }
        return strings
    }
}
