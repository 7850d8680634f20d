import Domain
import Testing

struct GlobTests {
    @Test(arguments: [
        ("", "", true), ("", "a", false), ("*", "", true), ("*", "anything", true), ("?", "", false), ("?", "a", true), ("?", "ab", false),
        ("read*", "readFile", true), ("read*", "read", true), ("read*", "unread", false), ("*File", "readFile", true),
        ("*File", "readFiles", false), ("r*d*e", "readFile", true), ("r*x*e", "readFile", false), ("r?ad", "read", true),
        ("r?ad", "rad", false), ("**", "a", true), ("a**b", "ab", true), ("a*b*c", "abbbbc", true), ("a*b*c", "abbbb", false),
        ("exact", "exact", true), ("exact", "Exact", false), ("exact", "exact ", false), ("a.c", "abc", false), ("[a]", "a", false),
        ("*a", "aaab", false), ("*ab", "aab", true), ("*a?", "aab", true),
    ])
    func `a star stands for any run of characters and a question mark for one`(pattern: String, text: String, isMatch: Bool) {
        #expect(Glob(pattern).matches(text) == isMatch)
    }

    @Test func `it agrees with the plain definition on random patterns`() {
        // Recursion by the definition: right, and slow on long texts.
        func matches(_ pattern: Substring, _ text: Substring) -> Bool {
            guard let first = pattern.first else { return text.isEmpty }
            if first == "*" { return matches(pattern.dropFirst(), text) || (!text.isEmpty && matches(pattern, text.dropFirst())) }
            guard let letter = text.first, first == "?" || first == letter else { return false }
            return matches(pattern.dropFirst(), text.dropFirst())
        }
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<20_000 {
            let pattern = String((0..<Int.random(in: 0...6, using: &generator)).map { _ in "ab*?".randomElement(using: &generator) ?? "a" })
            let text = String((0..<Int.random(in: 0...8, using: &generator)).map { _ in "ab".randomElement(using: &generator) ?? "a" })
            #expect(Glob(pattern).matches(text) == matches(pattern[...], text[...]), "\(pattern) on \(text)")
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func `patterns that look exponential end at once`() {
        let text = String(repeating: "a", count: 20_000)
        #expect(!Glob("*a*a*a*a*b").matches(text))
        #expect(!Glob(String(repeating: "*a", count: 30) + "b").matches(text))
        #expect(Glob(String(repeating: "*a", count: 30)).matches(text))
        #expect(!Glob(String(repeating: "?*", count: 30) + "b").matches(text))
    }
}
