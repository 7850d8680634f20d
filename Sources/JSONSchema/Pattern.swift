import CPCRE2

/// A regular expression as JSON Schema means it: ECMA-262, unanchored, over code points. A search has a bound, so that a pattern which
/// somebody else wrote cannot hold a thread: PCRE2's own match limit counts anew at each place where a match may begin, so the items
/// that are tried are counted here (by automatic callouts), and the text is bounded.
public final class Pattern: Sendable {
    public enum Answer: Sendable, Equatable {
        case matches, differs
        /// The bound was reached before it was known.
        case undecided
    }

    public struct Failure: Error, Sendable, CustomStringConvertible {
        /// In bytes from the start of the pattern.
        public let offset: Int
        public let message: String
        public var description: String { "\(message) at offset \(offset)" }
    }

    public let source: String
    // Compiled code is never written again, and PCRE2 lets threads share it (pcre2api, "Multithreading").
    private nonisolated(unsafe) let code: OpaquePointer
    private let maxSteps: Int
    /// Of each item that is tried.
    private let stepWeight: Int
    /// What the compiled pattern takes.
    public let compiledBytes: Int
    private static let maxPatternBytes = 4096
    private static let maxTextBytes = 16 * 1024

    /// - Parameter maxSteps: items of the pattern that one search may try, of some 20 ns each; bytes passed over count beside them.
    public init(_ source: String, maxSteps: Int = 100_000) throws(Failure) {
        guard source.utf8.count <= Self.maxPatternBytes else {
            throw Failure(offset: 0, message: "is longer than \(Self.maxPatternBytes) bytes")
        }
        self.source = source
        var error: Int32 = 0
        var offset = 0
        // ECMA-262: `$` is the very end, \uXXXX is a character, an empty class is allowed; \d, \w and \s are ASCII's.
        let options =
            UInt32(PCRE2_UTF) | UInt32(PCRE2_DOLLAR_ENDONLY) | UInt32(PCRE2_ALT_BSUX) | UInt32(PCRE2_ALLOW_EMPTY_CLASS)
            | UInt32(PCRE2_MATCH_UNSET_BACKREF) | UInt32(PCRE2_NEVER_BACKSLASH_C) | UInt32(PCRE2_AUTO_CALLOUT)
        let bytes = Array(Self.withShortPropertyNames(source).utf8)
        guard
            let code = bytes.withUnsafeBufferPointer({
                pcre2_compile_8($0.baseAddress ?? Self.empty, $0.count, options, &error, &offset, nil)
            })
        else { throw Failure(offset: offset, message: Self.text(of: error)) }
        self.code = code
        self.maxSteps = maxSteps
        stepWeight = 1 + Self.largestCount(in: source) / Self.bytesPerStep
        var size = 0
        pcre2_pattern_info_8(code, UInt32(PCRE2_INFO_SIZE), &size)
        compiledBytes = size
    }

    deinit { pcre2_code_free_8(code) }

    /// Bytes that are passed over in about the time of a step.
    private static let bytesPerStep = 64
    /// Of a search that ends at once.
    private static let stepsPerSearch = 8

    /// What a search has left, and where it was last.
    private struct Progress {
        var left: Int
        let weight: Int
        var position = 0
    }

    /// Whether some part of `text` matches.
    public func search(_ text: String) -> Answer {
        var steps = maxSteps
        return search(text, within: &steps)
    }

    /// The same, out of steps that other searches share: what is spent is taken off, and nothing is left where they did not suffice.
    public func search(_ text: String, within steps: inout Int) -> Answer {
        let cost = Self.stepsPerSearch + text.utf8.count / Self.bytesPerStep
        guard cost <= steps else {
            steps = 0
            return .undecided
        }
        steps -= cost
        var progress = Progress(left: min(maxSteps, steps), weight: stepWeight)
        let granted = progress.left
        let answer = search(text, &progress)
        steps -= granted - max(0, progress.left)
        return answer
    }

    private func search(_ text: String, _ progress: inout Progress) -> Answer {
        guard text.utf8.count <= Self.maxTextBytes, let context = pcre2_match_context_create_8(nil) else { return .undecided }
        defer { pcre2_match_context_free_8(context) }
        pcre2_set_match_limit_8(context, UInt32(clamping: progress.left))
        pcre2_set_depth_limit_8(context, 1000)
        // In KiB.
        pcre2_set_heap_limit_8(context, 4096)
        guard let data = pcre2_match_data_create_8(1, nil) else { return .undecided }
        defer { pcre2_match_data_free_8(data) }
        var text = text
        return withUnsafeMutablePointer(to: &progress) { progress in
            pcre2_set_callout_8(
                context,
                { block, progress in
                    guard let progress = progress?.assumingMemoryBound(to: Progress.self), let block else { return PCRE2_ERROR_CALLOUT }
                    // One item may take a text's length: what it has passed over since the last counts beside it.
                    let position = block.pointee.current_position
                    let passed = max(0, position - progress.pointee.position)
                    progress.pointee.position = position
                    progress.pointee.left -= progress.pointee.weight + passed / Pattern.bytesPerStep
                    return progress.pointee.left > 0 ? 0 : PCRE2_ERROR_CALLOUT
                }, progress)
            return text.withUTF8 { bytes in
                let found = pcre2_match_8(code, bytes.baseAddress ?? Self.empty, bytes.count, 0, UInt32(PCRE2_NO_UTF_CHECK), data, context)
                return found >= 0 ? .matches : found == PCRE2_ERROR_NOMATCH ? .differs : .undecided
            }
        }
    }

    // What stands for the address of no bytes at all: never read, never written.
    private nonisolated(unsafe) static let empty = UnsafePointer(UnsafeMutablePointer<UInt8>.allocate(capacity: 1))

    /// Of a count in braces: an item that must come so often may look at as many bytes before it fails, and nobody hears of it.
    private static func largestCount(in source: String) -> Int {
        var largest = 0
        for part in source.utf8.split(separator: UInt8(ascii: "{")).dropFirst(source.utf8.first == UInt8(ascii: "{") ? 0 : 1) {
            let digits = part.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            largest = max(largest, digits.prefix(6).reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) })
        }
        return largest
    }

    private static func text(of error: Int32) -> String {
        var buffer = [UInt8](repeating: 0, count: 256)
        let length = pcre2_get_error_message_8(error, &buffer, buffer.count)
        return length > 0 ? String(decoding: buffer.prefix(Int(length)), as: UTF8.self) : "is no regular expression"
    }

    /// ECMA-262 knows general categories by their long names too; PCRE2 by the short ones alone.
    private static func withShortPropertyNames(_ source: String) -> String {
        guard source.contains("\\p{") || source.contains("\\P{") else { return source }
        var text = source
        for (long, short) in longNames { text = text.replacing("{\(long)}", with: "{\(short)}") }
        return text.replacing("{General_Category=", with: "{").replacing("{gc=", with: "{")
    }

    private static let longNames = [
        ("Letter", "L"), ("Cased_Letter", "L&"), ("Uppercase_Letter", "Lu"), ("Lowercase_Letter", "Ll"), ("Titlecase_Letter", "Lt"),
        ("Modifier_Letter", "Lm"), ("Other_Letter", "Lo"), ("Mark", "M"), ("Nonspacing_Mark", "Mn"), ("Spacing_Mark", "Mc"),
        ("Enclosing_Mark", "Me"), ("Number", "N"), ("Decimal_Number", "Nd"), ("digit", "Nd"), ("Letter_Number", "Nl"),
        ("Other_Number", "No"),
        ("Punctuation", "P"), ("punct", "P"), ("Symbol", "S"), ("Separator", "Z"), ("Space_Separator", "Zs"), ("Other", "C"),
        ("Control", "Cc"),
    ]
}
