import JSON

/// The agents of the run that `docs/A-RUN-OVER-ALL-TARGETS.md` shows: one that handles a return, and one that it asks for a letter.
enum RefundAgents {
    /// Where its tools reach out to.
    struct Places {
        /// The shop's own API, and the system that pays out.
        let shop: String
        let weather: String
    }

    static func clerk(_ places: Places) -> RawJSON {
        config(
            "returns-clerk", steps: steps,
            tools: [
                """
                {"name":"findOrder","executionType":"request","inputSchema":{"type":"object","required":["order"]},
                 "execution":{"url":"\(places.shop)/orders/{{order}}"}}
                """,
                #"{"name":"refundFor","executionType":"compute","execution":{"expression":"round(price * quantity * 0.9, 2)"}}"#,
                #"{"name":"houseRules","executionType":"basic","execution":{"mode":"static","output":"Frost damage: refund 90 %."}}"#,
                #"{"name":"fs.read","target":"device","device":{"labels":{"zone":"warehouse"}},"timeoutSeconds":600}"#,
                #"{"name":"askCustomer","executionType":"basic","timeoutSeconds":600}"#,
                """
                {"name":"payOut","target":"external","timeoutSeconds":600,"inputSchema":{"type":"object","required":["amount"]},
                 "execution":{"url":"\(places.shop)/pay-out"}}
                """,
                #"{"name":"settle","executionType":"waiting","execution":{"seconds":3600}}"#,
                """
                {"name":"writeLetter","executionType":"ai-agent","timeoutSeconds":600,
                 "execution":{"agent":"letter-writer","message":"Tell the customer that {{amount}} is on its way."}}
                """,
            ], servers: [#"{"name":"weather","url":"\#(places.weather)","allowedTools":["forecast"]}"#])
    }

    /// Has its letters signed in a page, too.
    static let writer = config(
        "letter-writer",
        steps: [#"{"toolCalls":[{"name":"sign","arguments":{}}]}"#, #"{"text":"Dear customer, 35.1 is on its way. {{lastToolResult}}"}"#],
        tools: [#"{"name":"sign","executionType":"basic","timeoutSeconds":600}"#])

    private static let steps = [
        #"{"text":"Let me look at the order.","toolCalls":[{"name":"findOrder","arguments":{"order":"A-1001"}}]}"#,
        """
        {"toolCalls":[{"name":"refundFor","arguments":{"price":19.5,"quantity":2}},{"name":"houseRules","arguments":{}}]}
        """,
        #"{"toolCalls":[{"name":"weather.forecast","arguments":{"city":"Oslo"}}]}"#,
        #"{"toolCalls":[{"name":"fs.read","arguments":{"path":"returns/A-1001.txt"}}]}"#,
        #"{"toolCalls":[{"name":"askCustomer","arguments":{"question":"Refund or replacement?"}}]}"#,
        #"{"toolCalls":[{"name":"payOut","arguments":{"amount":35.1}}]}"#,
        #"{"toolCalls":[{"name":"settle","arguments":{}}]}"#,
        #"{"toolCalls":[{"name":"writeLetter","arguments":{"amount":35.1}}]}"#,
        #"{"text":"The refund is paid, and this letter is sent: {{lastToolResult}}"}"#,
    ]

    private static func config(_ name: String, steps: [String], tools: [String], servers: [String] = []) -> RawJSON {
        let text = """
            {"version":"1.0","agent":{"name":"\(name)"},"loop":{"maxSteps":12},
             "model":{"provider":"simulated","script":{"steps":[\(steps.joined(separator: ","))]}},
             "tools":[\(tools.joined(separator: ","))],"mcp":{"servers":[\(servers.joined(separator: ","))]}}
            """
        return RawJSON(trusted: Array(text.utf8))
    }
}
