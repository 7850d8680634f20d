import Glibc
import HsafaClient

/// Standard output or error: colours where a person looks, plain text elsewhere.
struct Terminal: Sendable {
    static let output = Terminal(descriptor: STDOUT_FILENO)
    static let error = Terminal(descriptor: STDERR_FILENO)

    let descriptor: Int32
    let hasColours: Bool

    init(descriptor: Int32) {
        self.descriptor = descriptor
        // https://no-color.org: present and not empty.
        let refuses = Environment["NO_COLOR"] != nil || Environment["TERM"] == "dumb"
        hasColours = isatty(descriptor) == 1 && !refuses
    }

    func line(_ text: String) { write(Array((text + "\n").utf8)) }
    func text(_ text: String) { write(Array(text.utf8)) }

    /// JSON on one line: raw line breaks in it stand only between tokens.
    func json(_ bytes: [UInt8]) {
        write(bytes.map { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") ? UInt8(ascii: " ") : $0 } + [UInt8(ascii: "\n")])
    }

    func write(_ bytes: [UInt8]) {
        // Nobody is left to tell when the reader has gone, e.g. `hsafa watch … | head`.
        do { try PrivateFile.write(descriptor, bytes, path: "output") } catch { exit(Failure.general) }
    }

    func dim(_ text: String) -> String { paint("2", text) }
    func bold(_ text: String) -> String { paint("1", text) }
    func red(_ text: String) -> String { paint("31", text) }
    func green(_ text: String) -> String { paint("32", text) }
    func yellow(_ text: String) -> String { paint("33", text) }
    func cyan(_ text: String) -> String { paint("36", text) }

    private func paint(_ code: String, _ text: String) -> String { hasColours ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text }

    /// Text of models, tools and servers must not steer the terminal: control characters other than tab and line feed become `�`.
    static func safe(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { result.append(isControl(scalar) ? "\u{FFFD}" : scalar) }
        return String(result)
    }

    /// One line of at most `limit` characters.
    static func brief(_ text: String, limit: Int) -> String {
        let line = String(safe(text).map { $0.isNewline || $0 == "\t" ? " " : $0 })
        return line.count <= limit ? line : line.prefix(limit - 1) + "…"
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        (scalar.value < 0x20 && scalar != "\n" && scalar != "\t") || (0x7F...0x9F).contains(scalar.value)
            || (0x202A...0x202E).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value)
    }
}

enum Environment {
    /// Nil when unset or empty.
    static subscript(_ name: String) -> String? {
        guard let value = getenv(name).map({ String(cString: $0) }), !value.isEmpty else { return nil }
        return value
    }
}
