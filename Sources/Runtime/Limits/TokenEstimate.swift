import Domain
import JSON
import ModelProviders

/// What a model call may use at most, before it is made.
enum TokenEstimate {
    /// Vendors' tokenizers make a token of three to four bytes of text, and of no fewer than two in any script in common use.
    static let bytesPerToken = 2
    /// Roles and separators.
    static let tokensPerMessage = 16

    static func tokens(of request: ModelRequest) -> Int {
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
            + (request.maxOutputTokens ?? Limits.defaultOutputTokens)
    }
}
