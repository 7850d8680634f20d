import Domain
import JSON
import ModelProviders

/// What a model call may use at most, before it is made.
enum TokenEstimate {
    /// Vendors' tokenizers make a token of three to four bytes of text, and of no fewer than two in any script in common use.
    static let bytesPerToken = 2
    /// Roles and separators.
    static let tokensPerMessage = 16

    static func tokens(of request: ModelRequest) -> Int { input(of: request) + (request.maxOutputTokens ?? Limits.defaultOutputTokens) }

    /// Of a call whose model said nothing of what it used.
    static func usage(of request: ModelRequest, _ response: ModelResponse) -> TokenUsage {
        let calls = response.calls.reduce(0) { $0 + $1.name.utf8.count + $1.arguments.utf8.count }
        return TokenUsage(
            inputTokens: input(of: request),
            outputTokens: (response.text.utf8.count + response.reasoning.utf8.count + calls) / bytesPerToken)
    }

    private static func input(of request: ModelRequest) -> Int {
        var bytes = 0
        for message in request.messages {
            switch message {
            case .system(let text), .user(let text): bytes += text.utf8.count
            case .toolResult(_, let name, let content, _): bytes += name.utf8.count + content.utf8.count
            case .assistant(let text, let calls):
                bytes += text.utf8.count + calls.reduce(0) { $0 + $1.name.utf8.count + $1.arguments.utf8.count }
            }
        }
        for tool in request.tools {
            bytes += tool.name.utf8.count + (tool.description?.utf8.count ?? 0) + tool.inputSchema.bytes.count
        }
        return bytes / bytesPerToken + (request.messages.count + request.tools.count) * tokensPerMessage
    }
}
