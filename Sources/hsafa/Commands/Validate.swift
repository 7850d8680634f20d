import ArgumentParser
import HsafaClient
import JSON

struct Validate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check an agent's config, or a file of device tools, without a gateway.",
        discussion: """
            Strict JSON, known fields, names, models and tools. What only the gateway can know (policies, secrets) it says at publish. A \
            file without “agent” and “model” is read as a file of device tools.

              hsafa validate agent.json
              hsafa validate tools.json
              hsafa validate agent.json --json | jq -r '.errors[].pointer'
            """)

    @Argument(help: "The file.", completion: .file(extensions: ["json"]))
    var file: String

    @Flag(help: "Print {\"valid\":…,\"errors\":[{\"pointer\",\"message\"}]}.")
    var json = false

    func run() throws {
        let bytes = try PrivateFile.read(file, maxBytes: AgentFile.maxBytes)
        var summary = ""
        var violation: JSONViolation?
        do {
            let root = try JSONDocument(parsing: bytes).root
            if root["agent"] != nil || root["model"] != nil || root["tools"] == nil {
                summary = try AgentFile.check(root)
            } else {
                summary = "\(try ToolFile(root, directory: ToolFile.directory(of: file)).tools.count) device tools"
            }
        } catch let error as JSONViolation {
            violation = error
        } catch let error as JSONError {
            violation = error.violation
        }
        if json {
            Terminal.output.json(report(violation).bytes)
        } else if let violation {
            Terminal.output.line("\(file): \(violation.pointer.isEmpty ? "(document)" : violation.pointer): \(violation.message)")
        } else {
            Terminal.output.line("\(file): valid: \(summary)")
        }
        if violation != nil { throw ExitCode(Failure.general) }
    }

    private func report(_ violation: JSONViolation?) -> RawJSON {
        .object { writer in
            writer.field("valid", bool: violation == nil)
            writer.field(
                "errors",
                raw: .array { list in
                    guard let violation else { return }
                    list.raw(
                        .object { item in
                            item.field("pointer", string: violation.pointer)
                            item.field("message", string: violation.message)
                        })
                })
        }
    }
}
