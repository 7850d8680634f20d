import ArgumentParser
import Domain
import Glibc
import Runtime

/// `hsafa-gateway policy …`: the policies folder, without a database.
struct Policy: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check, test and explain the policies of a folder.",
        discussion: "The folder is POLICIES_DIR (default: policies) unless one is named. docs/POLICIES.md is the guide.",
        subcommands: [PolicyCheck.self, PolicyTest.self, PolicyExplain.self])

    static func folder(_ named: String?) -> String { named ?? getenv("POLICIES_DIR").map { String(cString: $0) } ?? "policies" }
}

struct PolicyCheck: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Read the folder as the gateway does at start; say what is wrong, with file and line.")

    @Argument(help: "The folder.") var folder: String?

    func run() throws {
        let folder = try PolicyFolder(Policy.folder(folder))
        for file in folder.files { print("\(file.name)  \(file.rules) rules  \(file.hash)") }
        print("\(folder.set.rules.count) rules in \(folder.files.count) files, \(folder.set.hash)")
    }
}

struct PolicyTest: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test", abstract: "Run the *.test.yaml of the folder against its policies.",
        discussion: "Ends with 1 where a test fails or a file is invalid, and where there is no test at all.")

    @Argument(help: "The folder.") var folder: String?
    @Flag(help: "Name the tests that passed as well.") var verbose = false

    func run() throws {
        let report = try PolicyFolder.runTests(Policy.folder(folder))
        for test in report.cases {
            if let failure = test.failure {
                print("✗ \(test.file):\(test.line): \(test.name): \(failure)")
            } else if verbose {
                print("✓ \(test.file):\(test.line): \(test.name)")
            }
        }
        print("\(report.cases.count) policy tests, \(report.failures.count) failed")
        if report.cases.isEmpty || !report.failures.isEmpty { throw ExitCode(1) }
    }
}
