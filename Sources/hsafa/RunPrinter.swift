import HsafaClient
import JSON

/// Shows a run's events to a person, as they come.
struct RunPrinter {
    private let terminal: Terminal
    private let showsReasoning: Bool
    private var isAtLineStart = true
    private var hasStreamedText = false
    private var isReasoning = false
    private var toolNames: [String: String] = [:]

    init(terminal: Terminal = .output, showsReasoning: Bool) {
        self.terminal = terminal
        self.showsReasoning = showsReasoning
    }

    mutating func show(_ event: RunEvent) throws {
        let data = try event.data.document().root
        switch event.type {
        case "run.created":
            let parent = data["parent"]?["runId"]?.string.map { ", started by a call of run \($0)" } ?? ""
            note("run \(event.runId)\(parent)")
        case "run.resumed": note("resumed\(data["reason"]?.string.map { " (\($0))" } ?? "")")
        case "run.status": note("\(data["status"]?.string ?? "?")")
        case "run.cancel_requested": note("cancel requested")
        case "step.restarted":
            hasStreamedText = false
            note("step \(data["step"]?.int ?? 0) starts again; its text above is void")
        case "assistant.delta": stream(data["text"]?.string ?? "", reasoning: false)
        case "reasoning.delta": if showsReasoning { stream(data["text"]?.string ?? "", reasoning: true) }
        case "assistant.message": finishMessage(data)
        case "run.completed", "run.failed", "run.canceled": finish(event, data)
        default: if event.type.hasPrefix("tool.") { showTool(event.type, data) }
        }
    }

    private mutating func stream(_ text: String, reasoning: Bool) {
        guard !text.isEmpty else { return }
        if reasoning != isReasoning { endLine() }
        isReasoning = reasoning
        if !reasoning { hasStreamedText = true }
        let safe = Terminal.safe(text)
        terminal.text(reasoning ? terminal.dim(safe) : safe)
        isAtLineStart = safe.last?.isNewline == true
    }

    private mutating func finishMessage(_ data: JSONNode) {
        if !hasStreamedText { stream(data["text"]?.string ?? "", reasoning: false) }
        endLine()
        hasStreamedText = false
        for call in data["toolCalls"]?.elements.map({ $0 }) ?? [] {
            if let id = call["callId"]?.string, let name = call["name"]?.string { toolNames[id] = name }
        }
    }

    private mutating func showTool(_ type: String, _ data: JSONNode) {
        let callId = data["callId"]?.string ?? ""
        if let name = data["tool"]?.string { toolNames[callId] = name }
        let name = terminal.bold(Terminal.brief(toolNames[callId] ?? callId, limit: 64))
        let reason = data["message"]?.string ?? data["reason"]?.string ?? ""
        endLine()
        switch type {
        case "tool.call.requested":
            let target = data["target"]?.string.map { terminal.dim(" (\($0))") } ?? ""
            // A call that is held shows what it would do with the question about it.
            if data["held"]?.bool != true { terminal.line("\(terminal.cyan("→")) \(name) \(compact(data["args"]))\(target)") }
        case "tool.call.approval_required":
            terminal.line("\(terminal.yellow("?")) \(name) \(compact(data["args"])) waits for approval \(terminal.dim("call \(callId)"))")
        case "tool.call.approved": terminal.line("\(terminal.green("✓")) \(name) approved")
        case "tool.call.dispatched":
            let place =
                data["childRunId"]?.string.map { "goes on in run \(Terminal.brief($0, limit: 36))" }
                ?? data["dueAt"]?.string.map { "waits until \(Terminal.brief($0, limit: 36))" }
                ?? data["deviceId"]?.string.map { "sent to device \(Terminal.brief($0, limit: 36))" } ?? "taken by its system"
            terminal.line(terminal.dim("· \(place)"))
        case "tool.result.received":
            if let error = data["error"] {
                terminal.line("\(terminal.red("✗")) \(name) \(compact(error))")
            } else {
                terminal.line("\(terminal.green("←")) \(name) \(compact(data["result"]))")
            }
        case "tool.call.denied": terminal.line("\(terminal.red("✗")) \(name) denied \(Terminal.brief(reason, limit: 200))")
        case "tool.call.expired": terminal.line("\(terminal.red("✗")) \(name) expired: no result before its deadline")
        case "tool.call.canceled": terminal.line("\(terminal.yellow("✗")) \(name) canceled \(Terminal.brief(reason, limit: 200))")
        default: break
        }
    }

    private mutating func finish(_ event: RunEvent, _ data: JSONNode) {
        endLine()
        let usage = data["usage"].flatMap { usage -> String? in
            guard let input = usage["inputTokens"]?.int, let output = usage["outputTokens"]?.int else { return nil }
            return " \(input) tokens in, \(output) out"
        }
        let tail = terminal.dim(usage ?? "")
        switch event.type {
        case "run.completed": terminal.line(terminal.green("completed") + tail)
        case "run.canceled": terminal.line(terminal.yellow("canceled") + tail)
        default:
            let code = data["error"]?["code"]?.string ?? "failed"
            let message = data["error"]?["message"]?.string ?? "no reason given"
            terminal.line(terminal.red("failed") + ": \(Terminal.safe(message)) (\(Terminal.safe(code)))" + tail)
        }
    }

    private func compact(_ node: JSONNode?) -> String { Terminal.brief(node?.rawJSON.string ?? "", limit: 200) }

    private mutating func note(_ text: String) {
        endLine()
        terminal.line(terminal.dim("· \(Terminal.brief(text, limit: 200))"))
    }

    private mutating func endLine() {
        if !isAtLineStart { terminal.text("\n") }
        isAtLineStart = true
        isReasoning = false
    }
}
