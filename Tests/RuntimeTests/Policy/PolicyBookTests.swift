import Domain
import Foundation
import Logging
import Synchronization
import TestServers
import Testing

@testable import Runtime

/// The folder as it changes under a living gateway.
struct PolicyBookTests {
    private static let allowing = "version: 1\nrules:\n  - id: all\n    effect: allow\n"

    private struct Collecting: LogHandler {
        let lines: Lines
        var logLevel: Logger.Level = .trace
        var metadata: Logger.Metadata = [:]
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: LogEvent) { lines.add("\(event.level) \(event.message)") }
    }

    private final class Lines: Sendable {
        private let texts = Mutex<[String]>([])
        var all: [String] { texts.withLock { $0 } }
        func add(_ text: String) { texts.withLock { $0.append(text) } }
    }

    private func withFolder(_ body: (URL, PolicyBook, Lines) throws -> Void) throws {
        let folder = URL(filePath: try temporaryFolder(["a.yaml": Self.allowing]))
        let lines = Lines()
        let logger = Logger(label: "test") { _ in Collecting(lines: lines) }
        try body(folder, try PolicyBook(directory: folder.path, logger: logger), lines)
    }

    @Test func `an invalid folder is told of once, the old set stays, and what is mended comes into force`() throws {
        try withFolder { folder, book, lines in
            let before = book.current.hash
            try Data("version: 1\nrules:\n  - id: broken\n    effect: perhaps\n".utf8).write(to: folder.appending(path: "b.yaml"))
            for _ in 0..<3 { book.reload() }
            #expect(book.current.hash == before)
            #expect(lines.all.filter { $0.hasPrefix("error") }.count == 1, "\(lines.all)")
            try Data("version: 1\nrules:\n  - id: mended\n    effect: deny\n".utf8).write(to: folder.appending(path: "b.yaml"))
            for _ in 0..<3 { book.reload() }
            #expect(book.current.hash != before && book.current.rules.count == 2)
            #expect(lines.all.filter { $0.hasPrefix("notice") }.count == 1, "\(lines.all)")
        }
    }

    @Test func `a file over the bound is refused before it is read`() throws {
        try withFolder { folder, book, lines in
            let file = folder.appending(path: "huge.yaml")
            #expect(FileManager.default.createFile(atPath: file.path, contents: nil))
            let handle = try FileHandle(forWritingTo: file)
            // A sparse file: larger than any memory, and yet there.
            try handle.truncate(atOffset: 1 << 40)
            try handle.close()
            book.reload()
            #expect(book.current.rules.count == 1)
            #expect(lines.all.count == 1)
            #expect(throws: PolicyFolder.Failure.self) { try PolicyBook(directory: folder.path, logger: Logger(label: "test")) }
        }
    }
}
