import HsafaClient
import JSON
import NIOPosix
import Synchronization

/// Runs one fixed command, without a shell: → `{exitCode, stdout, stderr}`. A program with a relative path is sought from the folder of the
/// file of tools, one without a path in PATH.
///
/// An item `{{name}}` of the command stands for the argument of that name. It is one item whatever it holds, and may not begin with `-`, so
/// that no argument becomes an option.
struct CommandTool: Sendable {
    private enum Item: Sendable {
        case fixed(String)
        case argument(String)
    }

    private let items: [Item]
    private let timeoutSeconds: Int
    private let maxOutputBytes: Int

    init(_ settings: JSONObjectReader, directory: String) throws(JSONViolation) {
        var settings = settings
        let pointer = settings.pointer(to: "command")
        let command = try settings.strings("command", maxCount: 64, maxBytes: 4096)
        guard let program = command.first, !program.isEmpty else { throw JSONViolation(pointer: pointer, message: "must name a program") }
        var items: [Item] = []
        for (index, item) in command.enumerated() {
            guard !item.utf8.contains(0) else { throw JSONViolation(pointer: "\(pointer)/\(index)", message: "must not hold NUL") }
            guard item.contains("{{") else {
                items.append(.fixed(item))
                continue
            }
            let name = item.dropFirst(2).dropLast(2)
            guard index > 0, item.hasPrefix("{{"), item.hasSuffix("}}"), !name.isEmpty, !name.contains("{"), !name.contains("}") else {
                throw JSONViolation(
                    pointer: "\(pointer)/\(index)", message: "must be {{name}} as a whole, and never the program, if it holds a placeholder"
                )
            }
            items.append(.argument(String(name)))
        }
        if program.contains("/"), !program.hasPrefix("/") { items[0] = .fixed("\(directory)/\(program)") }
        self.items = items
        timeoutSeconds = try settings.optionalInt("timeoutSeconds", in: 1...3600) ?? 10
        maxOutputBytes = try settings.optionalInt("maxOutputBytes", in: 1...(1 << 20)) ?? 65_536
        try settings.finish()
    }

    private struct Refusal: Error { let message: String }

    func perform(_ args: JSONNode) async -> ToolOutcome {
        let argv: [String]
        do { argv = try arguments(args) } catch { return .error(code: "bad_arguments", message: error.message) }
        let isCanceled = Canceled()
        do {
            let (timeout, limit) = (timeoutSeconds, maxOutputBytes)
            return try await withTaskCancellationHandler {
                try await NIOThreadPool.singleton.runIfActive {
                    Self.outcome(
                        ChildProcess.run(argv, timeoutSeconds: timeout, maxOutputBytes: limit) { isCanceled.value },
                        timeoutSeconds: timeout)
                }
            } onCancel: {
                isCanceled.set()
            }
        } catch {
            return .error(code: "device_shutting_down", message: "The device is shutting down.")
        }
    }

    private func arguments(_ args: JSONNode) throws(Refusal) -> [String] {
        var argv: [String] = []
        for item in items {
            switch item {
            case .fixed(let text): argv.append(text)
            case .argument(let name):
                let node = args[name]
                guard let text = node?.string ?? (node?.kind == .number || node?.kind == .bool ? node?.rawJSON.string : nil) else {
                    throw Refusal(message: "“\(name)” must be a string, a number or a boolean.")
                }
                guard !text.hasPrefix("-"), !text.utf8.contains(0), text.utf8.count <= 4096 else {
                    throw Refusal(message: "“\(name)” must not begin with “-”, hold NUL or exceed 4,096 bytes.")
                }
                argv.append(text)
            }
        }
        return argv
    }

    private static func outcome(_ end: ChildProcess.End, timeoutSeconds: Int) -> ToolOutcome {
        switch end {
        case .notStarted(let reason): return .error(code: "command_failed", message: "The command cannot be started: \(reason)")
        case .timedOut: return .error(code: "timeout", message: "The command was stopped after \(timeoutSeconds) s.")
        case .canceled: return .error(code: "canceled", message: "The call was canceled, and the command stopped.")
        case .exited(let code, let output, let error):
            return .result(
                .object { writer in
                    writer.field("exitCode", int: Int(code))
                    writer.field("stdout", string: String(decoding: output.bytes, as: UTF8.self))
                    writer.field("stderr", string: String(decoding: error.bytes, as: UTF8.self))
                    if output.isTruncated || error.isTruncated { writer.field("truncated", bool: true) }
                })
        }
    }
}

private final class Canceled: Sendable {
    private let flag = Atomic(false)
    var value: Bool { flag.load(ordering: .relaxed) }
    func set() { flag.store(true, ordering: .relaxed) }
}
