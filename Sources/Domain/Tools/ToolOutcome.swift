public import JSON

public enum CallStatus: String, Sendable, Hashable {
    case requested
    case awaitingApproval = "awaiting_approval"
    case dispatched, completed, failed, expired, denied, canceled

    public var isOpen: Bool { self == .requested || self == .awaitingApproval || self == .dispatched }
}

/// Who gave a call its outcome; `gateway` for those that no tool gave.
public enum ResultSource: String, Sendable, Hashable {
    case server, device, browser, external, gateway
}

/// A tool's own failure, as the model and the watchers see it.
public struct ToolError: Error, Sendable, Hashable {
    public let code: String
    public let message: String

    public init(code: String, message: String) {
        self.code = code
        self.message = message
    }

    public var json: RawJSON {
        RawJSON.object { writer in
            writer.field("code", string: code)
            writer.field("message", string: message)
        }
    }

    public init(reading node: JSONNode, at pointer: String) throws(JSONViolation) {
        if let text = node.string {
            self.init(code: "tool_failed", message: text)
            return
        }
        var reader = try JSONObjectReader(node, at: pointer)
        let code = try reader.optionalString("code", maxBytes: 128) ?? "tool_failed"
        let message = try reader.string("message", maxBytes: .max)
        try reader.finish()
        self.init(code: code, message: message)
    }
}

/// What one call came to. Each call has exactly one, and the first wins.
public enum ToolOutcome: Sendable, Hashable {
    case result(RawJSON, source: ResultSource)
    case failed(ToolError, source: ResultSource)
    case expired
    case denied(reason: String, message: String)
    case canceled(reason: String)

    public var status: CallStatus {
        switch self {
        case .result: .completed
        case .failed: .failed
        case .expired: .expired
        case .denied: .denied
        case .canceled: .canceled
        }
    }

    public var source: ResultSource {
        switch self {
        case .result(_, let source), .failed(_, let source): source
        case .expired, .denied, .canceled: .gateway
        }
    }

    public var result: RawJSON? { if case .result(let json, _) = self { json } else { nil } }

    /// What the model is told when there is no result.
    public var error: ToolError? {
        switch self {
        case .result: nil
        case .failed(let error, _): error
        case .expired: ToolError(code: "expired", message: "The tool gave no result before its deadline.")
        case .denied(let reason, let message): ToolError(code: reason, message: message)
        case .canceled(let reason): ToolError(code: "canceled", message: "The call was canceled: \(reason).")
        }
    }
}
