/// `*` matches any run of characters, `?` one; everything else itself. Linear in text × pattern, so no pattern can hang a replica.
public struct Glob: Sendable, Hashable {
    public let pattern: String
    private let bytes: [UInt8]

    public init(_ pattern: String) {
        self.pattern = pattern
        bytes = Array(pattern.utf8)
    }

    public func matches(_ text: String) -> Bool {
        let text = Array(text.utf8)
        var textIndex = 0
        var patternIndex = 0
        var starIndex = -1
        var resume = 0
        while textIndex < text.count {
            if patternIndex < bytes.count, bytes[patternIndex] == UInt8(ascii: "*") {
                starIndex = patternIndex
                resume = textIndex
                patternIndex += 1
            } else if patternIndex < bytes.count, bytes[patternIndex] == UInt8(ascii: "?") || bytes[patternIndex] == text[textIndex] {
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
        while patternIndex < bytes.count, bytes[patternIndex] == UInt8(ascii: "*") { patternIndex += 1 }
        return patternIndex == bytes.count
    }
}
