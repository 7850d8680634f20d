import JSON

/// Agent configs of these tests.
enum Scripts {
    /// One step that streams `words` words, 20 ms apart.
    static func streaming(name: String, words: Int) -> RawJSON {
        config(
            name, steps: [RawJSON(trusted: Array(#"{"deltas":{"count":\#(words),"text":"word "},"delayMilliseconds":20}"#.utf8))], tools: []
        )
    }

    /// Asks a device for `fs.read`, then tells what it got.
    static func deviceTool(name: String) -> RawJSON {
        config(
            name,
            steps: [
                RawJSON(#"{"text":"Looking.","toolCalls":[{"name":"fs.read","arguments":{"path":"notes.txt"}}]}"#),
                RawJSON(#"{"text":"The device said {{lastToolResult}}"}"#),
            ],
            tools: [
                RawJSON(
                    #"{"name":"fs.read","inputSchema":{"type":"object"},"target":"device","device":{"labels":{"zone":"test"}},"timeoutSeconds":120}"#
                )
            ])
    }

    /// Calls one tool, then tells what it gave.
    static func tool(name: String, tool: String, arguments: String = "{}") -> RawJSON {
        config(
            name,
            steps: [
                RawJSON(trusted: Array(#"{"toolCalls":[{"name":"t","arguments":\#(arguments)}]}"#.utf8)),
                RawJSON(#"{"text":"It said {{lastToolResult}}"}"#),
            ], tools: [RawJSON(trusted: Array(tool.utf8))])
    }

    /// Asks another agent, then tells what it got.
    static func agentTool(name: String, of agent: String) -> RawJSON {
        config(
            name, steps: [RawJSON(#"{"toolCalls":[{"name":"ask","arguments":{}}]}"#), RawJSON(#"{"text":"It said {{lastToolResult}}"}"#)],
            tools: [
                RawJSON(trusted: Array(#"{"name":"ask","executionType":"ai-agent","execution":{"agent":"\#(agent)"}}"#.utf8))
            ])
    }

    private static func config(_ name: String, steps: [RawJSON], tools: [RawJSON]) -> RawJSON {
        RawJSON.object { writer in
            writer.field("version", string: "1.0")
            writer.field("agent", raw: .object { $0.field("name", string: name) })
            writer.field(
                "model",
                raw: .object { model in
                    model.field("provider", string: "simulated")
                    model.field("script", raw: .object { $0.field("steps", raw: .array { list in for step in steps { list.raw(step) } }) })
                })
            writer.field("tools", raw: .array { list in for tool in tools { list.raw(tool) } })
        }
    }
}
