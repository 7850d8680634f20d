public import JSON

/// What a device says it can do.
public struct DeviceTool: Sendable {
    public let name: String
    public let description: String?
    public let inputSchema: RawJSON

    public init(name: String, description: String? = nil, inputSchema: RawJSON) {
        self.name = name
        self.description = description
        self.inputSchema = inputSchema
    }

    /// `{"tools":[{name,description,inputSchema}]}`
    static func capabilities(_ tools: [DeviceTool]) -> RawJSON {
        .object { writer in
            writer.field(
                "tools",
                raw: .array { list in
                    for tool in tools {
                        list.raw(
                            .object { item in
                                item.field("name", string: tool.name)
                                item.field("description", stringIfPresent: tool.description)
                                item.field("inputSchema", raw: tool.inputSchema)
                            })
                    }
                })
        }
    }
}

/// One call as the gateway sent it. Delivery is at least once; `callId` is the same each time.
public struct DeviceToolCall: Sendable {
    public let runId: String
    public let callId: String
    public let name: String
    public let args: RawJSON
    /// RFC 3339 by the gateway's clock, for information: the gateway expires and cancels calls itself.
    public let deadline: String?
    public let attempt: Int
}
