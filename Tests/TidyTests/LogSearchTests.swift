import Foundation
import TestServers
import Testing

/// `scripts/search-logs.sh` finds what it is there to find. (The samples are put together here, so that no credential stands in a file.)
struct LogSearchTests {
    /// The exit status over a directory with these files.
    private func search(_ files: [String: String], _ arguments: String...) throws -> Int32 {
        let directory = FileManager.default.temporaryDirectory.appending(path: "hsafa-log-search-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        for (name, text) in files { try Data(text.utf8).write(to: directory.appending(path: name)) }
        return try ChildProcess.run([SourceTree.root + "/scripts/search-logs.sh", directory.path] + arguments).status
    }

    private static let known = "a-secret-that-the-tests-know\n"
    private static let clean = "info request method=GET route=/api/agents status=200 requestId=abc tenant=0190\n"
    private static let plants = [
        "hsk_" + String(repeating: "a", count: 12) + "_" + String(repeating: "B", count: 49),
        "hse_" + String(repeating: "0", count: 12) + "_" + String(repeating: "z", count: 49), "hrt_" + String(repeating: "t", count: 43),
        "hrt_" + String(repeating: "r", count: 12) + "_" + String(repeating: "T", count: 49),
        "authorization: " + "Bearer " + "abcdefghij", "bearer " + "eyJhbGciOi", "whsec_" + "MfKQ9r8GKYqr",
        "-----BEGIN " + "PRIVATE KEY-----", "-----BEGIN " + "EC PRIVATE KEY-----", "/stream?token=" + "abc", "a-secret-that-the-tests-know",
    ]

    @Test(arguments: plants) func `a planted secret is found`(secret: String) throws {
        #expect(try search(["known-secrets": Self.known, "a.log": Self.clean + "info said cause=\(secret) more\n" + Self.clean]) == 1)
        #expect(try search(["known-secrets": Self.known, "a.log": Self.clean, "b.log": "\u{0}\(secret)\n"], "--partial") == 1)
    }

    @Test func `a clean log is clean, though it speaks of keys`() throws {
        let talk = "info no Authorization header: send a valid API key as `Authorization: Bearer hsk_…`\n"
        #expect(try search(["known-secrets": Self.known, "a.log": Self.clean + talk]) == 0)
    }

    @Test func `a search of nothing fails, unless only some suites ran`() throws {
        for files in [[:], ["a.log": Self.clean], ["known-secrets": Self.known], ["known-secrets": Self.known, "a.log": ""]] {
            #expect(try search(files) == 2)
            #expect(try search(files, "--partial") == 0)
        }
        #expect(try search(["known-secrets": "short\n", "a.log": Self.clean]) == 2)
    }
}
