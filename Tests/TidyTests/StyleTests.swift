import Testing

/// Rules of style that a machine can see.
struct StyleTests {
    /// Files that may be longer than 300 lines, each with its reason.
    private static let longFiles: [String: String] = [:]
    static let executables: Set<String> = ["hsafa", "hsafa-gateway"]

    @Test func `no file is longer than 300 lines without a reason`() throws {
        for file in try SourceTree.sources.get() + SourceTree.tests.get() where file.lines.count > 301 {
            #expect(Self.longFiles[file.path] != nil, "\(file.path) has \(file.lines.count - 1) lines")
        }
        for path in Self.longFiles.keys {
            let count = SourceTree.read(path)?.split(separator: "\n", omittingEmptySubsequences: false).count ?? 0
            #expect(count > 301, "\(path) needs no exception any more")
        }
    }

    @Test func `product code neither traps on purpose, nor prints, nor is unfinished`() throws {
        let forbidden: [(text: StaticString, inComments: Bool)] = [
            ("try!", false), ("fatalError(", false), ("TODO", true), ("FIXME", true),
        ]
        for file in try SourceTree.sources.get() {
            for (number, line) in file.lines.enumerated() {
                for rule in forbidden where line.has(rule.text) && (rule.inComments || line.code.has(rule.text)) {
                    Issue.record("\(file.path):\(number + 1) has \(rule.text)")
                }
                if line.has("print("), !Self.executables.contains(file.module), Self.callsPrint(line.code) {
                    Issue.record("\(file.path):\(number + 1) prints; give it to the logger")
                }
            }
        }
    }

    /// `print(` as a word of its own.
    private static func callsPrint(_ line: Substring) -> Bool {
        line.ranges(of: "print(").contains { range in
            guard range.lowerBound > line.startIndex else { return true }
            let before = line[line.index(before: range.lowerBound)]
            return !before.isLetter && !before.isNumber && before != "_" && before != "."
        }
    }

    @Test func `what the compiler cannot check about threads carries its reason`() throws {
        for file in try SourceTree.sources.get() + SourceTree.tests.get() where !file.path.hasPrefix("Tests/TidyTests/") {
            for (number, line) in file.lines.enumerated() {
                let code = line.code
                guard code.has("@unchecked Sendable") || code.has("nonisolated(unsafe)") else { continue }
                // Several in a row share the reason above the first of them.
                var above = number - 1
                while above >= 0,
                    file.lines[above].contains("nonisolated(unsafe)") || file.lines[above].drop(while: { $0 == " " }).hasPrefix("@")
                {
                    above -= 1
                }
                let isExplained =
                    line.contains("//") || above >= 0 && file.lines[above].isComment
                    || number + 1 < file.lines.count && file.lines[number + 1].isComment
                #expect(isExplained, "\(file.path):\(number + 1) says nothing about why it is safe")
            }
        }
    }

    @Test func `no folder is a drawer`() throws {
        let drawers: Set<String> = [
            "utils", "util", "utilities", "helpers", "helper", "core", "common", "misc", "shared", "new", "extensions",
        ]
        for path in try SourceTree.folders("Sources") + SourceTree.folders("Tests") {
            let name = path.split(separator: "/").last.map { $0.lowercased() } ?? ""
            #expect(!drawers.contains(name), "\(path) says nothing about what is in it")
        }
    }

    /// Tasks that no group owns, each with its reason.
    private static let shared: [String: String] = [
        "Sources/Runtime/Policy/TenantPolicyBook.swift": "One look for all who wait for it, and each of them may go; a statement bounds it."
    ]

    @Test func `the runtime starts no task without an owner`() throws {
        for file in try SourceTree.sources.get() where file.module == "Runtime" && Self.shared[file.path] == nil {
            for (number, line) in file.lines.enumerated() where line.has("Task") {
                // `await Task { … }.value`: whoever awaits it owns it.
                if line.has("await Task {") || line.has("await Task(executorPreference:"), line.has("}.value") { continue }
                let code = line.code
                for start in ["Task {", "Task(", "Task.detached", "Task<"]
                where code.ranges(of: start).contains(where: { range in
                    // `addTask {` and types that end in Task are others.
                    guard range.lowerBound > code.startIndex else { return true }
                    let before = code[code.index(before: range.lowerBound)]
                    return !before.isLetter && before != "."
                }) {
                    Issue.record("\(file.path):\(number + 1) starts a task that no group owns")
                }
            }
        }
    }
}
