import Foundation
import HsafaClient
import JSON
import Testing

/// A run's log as a text that people read: a line for an event, with the target and the tool of the call that it is about.
///
/// Ids, times, ports and hashes are written as what they are, so that two runs of one config differ in nothing but how the model's text
/// fell into deltas, and which of two results of one step was there first.
struct RunListing {
    struct Line: Equatable {
        var type: String
        var target: String
        var tool: String
    }

    private(set) var lines: [Line] = []
    private(set) var text = ""
    /// Names of the calls, in the order of their requests: what stands for their ids.
    private var names: [(id: String, name: String)] = []

    init(_ events: [HsafaClient.Event]) throws {
        var calls: [String: (target: String, tool: String)] = [:]
        names.append((try #require(events.first).runId, "<this run>"))
        var index = 0
        while index < events.count {
            let event = events[index]
            var last = event
            // What the model says comes in as many pieces as it happens to.
            while event.type == "assistant.delta", index + 1 < events.count, events[index + 1].type == event.type {
                index += 1
                last = events[index]
            }
            index += 1
            let data = try event.data.document().root
            let call = data["callId"]?.string
            if let call, let target = data["target"]?.string, let tool = data["tool"]?.string, calls[call] == nil {
                calls[call] = (target, tool)
                names.append((call, "<call \(calls.count)>"))
            }
            let about = call.flatMap { calls[$0] }
            let line = Line(type: event.type, target: about?.target ?? "-", tool: about?.tool ?? "-")
            lines.append(line)
            let seq = event.seq == last.seq ? "\(event.seq)" : "\(event.seq)–\(last.seq)"
            let shown = event.type == "assistant.delta" ? "the text of the message below, as it grows" : try readable(data)
            text += Self.row(seq, line, shown)
        }
    }

    private static func row(_ seq: String, _ line: Line, _ data: String) -> String {
        func pad(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(1, width - text.count)) }
        let fields = String(repeating: " ", count: max(0, 5 - seq.count)) + seq + "  " + pad(line.type, 28)
        guard !data.isEmpty else { return fields + pad(line.target, 10) + line.tool + "\n" }
        return fields + pad(line.target, 10) + pad(line.tool, 18) + data + "\n"
    }

    /// What stands in a column of its own, and what says nothing here.
    private static let leftOut: Set = ["callId", "tool", "target", "providerCallId", "agentId", "agentVersionId", "usage", "claimNumber"]

    /// The members without ids and times; long ones are cut.
    private func readable(_ data: JSONNode) throws -> String {
        var parts: [String] = []
        for (key, value) in data.members where !Self.leftOut.contains(key) {
            let calls = key == "toolCalls" ? value.elements.compactMap { $0["name"]?.string }.joined(separator: ", ") : nil
            if calls == "" || value.string == "" { continue }
            parts.append("\(key): \(calls ?? value.string ?? value.rawJSON.string)")
        }
        var text = parts.joined(separator: "; ")
        for (id, name) in names { text = text.replacing(id, with: name) }
        text.replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/, with: "<id>")
        text.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/, with: "<time>")
        text.replace(/[0-9a-f]{64}/, with: "<hash>")
        return text.count <= 140 ? text : text.prefix(139) + "…"
    }

    /// The same log, with the results of one step in the order of their tools: they are made beside each other.
    var stable: [Line] { Self.stable(lines) }

    /// The lines that a document shows between two marks.
    static func stable(in document: String, of name: String) throws -> [Line] {
        try stable(
            block(name, of: document).split(separator: "\n").map { line in
                let fields = line.split(separator: " ", omittingEmptySubsequences: true)
                try #require(fields.count >= 4, "\(line)")
                return Line(type: String(fields[1]), target: String(fields[2]), tool: String(fields[3]))
            })
    }

    private static func stable(_ lines: [Line]) -> [Line] {
        var lines = lines
        for end in lines.indices.dropFirst() {
            var index = end
            while index > 0, lines[index].type == "tool.result.received", lines[index - 1].type == lines[index].type,
                lines[index].tool < lines[index - 1].tool
            {
                lines.swapAt(index, index - 1)
                index -= 1
            }
        }
        return lines
    }

    // MARK: The document

    private static func range(_ name: String, of document: String) throws -> Range<String.Index> {
        let start = try #require(document.range(of: "<!-- \(name) -->\n```text\n"), "the document has no place for “\(name)”")
        let end = try #require(document.range(of: "```\n<!-- end -->", range: start.upperBound..<document.endIndex))
        return start.upperBound..<end.lowerBound
    }

    static func block(_ name: String, of document: String) throws -> Substring { document[try range(name, of: document)] }

    static func replace(_ name: String, of document: inout String, with text: String) throws {
        document.replaceSubrange(try range(name, of: document), with: text)
    }
}
