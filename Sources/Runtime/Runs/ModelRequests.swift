import Domain
import JSON
import ModelProviders

/// What a version's config and a run's conversation ask of a model.
enum ModelRequests {
    static func make(
        _ config: AgentConfig, apiKey: String?, conversation: [ConversationTurn], step: Int, attempt: Int, tools: [ToolDefinition]
    ) -> ModelRequest {
        var messages: [ModelMessage] = []
        if let system = config.system, !system.isEmpty { messages.append(.system(system)) }
        for turn in conversation {
            switch turn {
            case .message(let message):
                switch message.role {
                case .system: messages.append(.system(message.text))
                case .user: messages.append(.user(message.text))
                case .assistant: messages.append(.assistant(text: message.text, calls: []))
                }
            case .assistant(let text, let calls):
                messages.append(
                    .assistant(
                        text: text,
                        calls: calls.map { ModelToolCall(providerCallID: $0.providerCallID, name: $0.name, arguments: $0.arguments) }))
            case .toolResult(let providerCallID, let name, let content, let isError):
                messages.append(.toolResult(providerCallID: providerCallID, name: name, content: content, isError: isError))
            }
        }
        let model = config.model
        return ModelRequest(
            provider: model.provider, model: model.name, baseURL: model.baseURL, apiKey: apiKey, temperature: model.temperature,
            maxOutputTokens: model.maxOutputTokens, providerOptions: model.providerOptions, messages: messages,
            tools: tools.map { ModelTool(name: $0.name, description: $0.description, inputSchema: $0.inputSchema) },
            toolChoice: config.toolChoice, script: model.script, step: step, attempt: attempt)
    }
}
