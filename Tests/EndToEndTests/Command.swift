import Foundation
import JSON
import TestServers
import TestSupport
import Testing

/// What one command of `hsafa` or `hsafa-gateway` came to.
struct Command {
    let status: Int32
    let text: String
    let error: String

    static func run(
        _ program: String, _ arguments: [String], _ variables: [String: String], input: String = ""
    ) throws -> Command {
        let (status, output, error) = try ChildProcess.run(
            [try TestEnvironment.variable("TEST_BIN") + "/" + program] + arguments,
            environment: variables.merging(["NO_COLOR": "1"]) { first, _ in first }, directory: NSTemporaryDirectory(), input: input)
        return Command(status: status, text: output, error: error)
    }

    func json() throws -> JSONNode { try JSONDocument(parsing: Array(text.utf8)).root }
    func string(_ key: String) throws -> String { try #require(try json()[key]?.string, "\(text) \(error)") }
    /// The first line alone: the key.
    var line: String { String(text.split(separator: "\n").first ?? "") }
}
