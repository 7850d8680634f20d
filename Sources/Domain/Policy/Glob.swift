/// `*` matches any run of characters, `?` one; everything else itself, byte for byte. Linear in text × pattern, so no pattern can hang
/// a replica.
public struct Glob: Sendable, Hashable {
    private enum Form: Sendable, Hashable {
        case anything
        case literal
        case prefix(length: Int)
        case general
    }

    public let pattern: String
    let bytes: [UInt8]
    private let form: Form

    public init(_ pattern: String) {
        self.pattern = pattern
        bytes = Array(pattern.utf8)
        switch bytes.firstIndex(where: { $0 == Self.star || $0 == Self.question }) {
        case nil: form = .literal
        case let first? where first == bytes.count - 1 && bytes[first] == Self.star: form = first == 0 ? .anything : .prefix(length: first)
        default: form = .general
        }
    }

    static let star = UInt8(ascii: "*")
    static let question = UInt8(ascii: "?")

    /// Whether one of the patterns, where there are any, lets it be: a device's `allowedTools`.
    public static func allow(_ text: String, in patterns: [String]?) -> Bool {
        patterns.map { $0.contains { Glob($0).matches(text) } } ?? true
    }

    public var isAnything: Bool { form == .anything }
    /// No wildcard in it.
    public var isLiteral: Bool { form == .literal }
    /// What every text that matches begins with, in bytes.
    var literalPrefix: ArraySlice<UInt8> { bytes.prefix { $0 != Self.star && $0 != Self.question } }
    /// What every text that matches ends with, in bytes.
    var literalSuffix: ArraySlice<UInt8> {
        bytes[(bytes.lastIndex { $0 == Self.star || $0 == Self.question }.map { $0 + 1 } ?? 0)...]
    }

    public func matches(_ text: String) -> Bool {
        if case .anything = form { return true }
        return text.utf8.withContiguousStorageIfAvailable(matches(bytes:)) ?? Array(text.utf8).withUnsafeBufferPointer(matches(bytes:))
    }

    private func matches(bytes text: UnsafeBufferPointer<UInt8>) -> Bool {
        switch form {
        case .anything: true
        case .literal: text.count == bytes.count && text.elementsEqual(bytes)
        case .prefix(let length): text.count >= length && text.prefix(length).elementsEqual(bytes.prefix(length))
        case .general: bytes.withUnsafeBufferPointer { Self.search($0, text) }
        }
    }

    static func search(_ pattern: UnsafeBufferPointer<UInt8>, _ text: UnsafeBufferPointer<UInt8>) -> Bool {
        var textIndex = 0
        var patternIndex = 0
        var starIndex = -1
        var resume = 0
        while textIndex < text.count {
            if patternIndex < pattern.count, pattern[patternIndex] == star {
                starIndex = patternIndex
                resume = textIndex
                patternIndex += 1
            } else if patternIndex < pattern.count, pattern[patternIndex] == question || pattern[patternIndex] == text[textIndex] {
                patternIndex += 1
                textIndex += 1
            } else if starIndex >= 0 {
                patternIndex = starIndex + 1
                resume += 1
                textIndex = resume
            } else {
                return false
            }
        }
        while patternIndex < pattern.count, pattern[patternIndex] == star { patternIndex += 1 }
        return patternIndex == pattern.count
    }
}
