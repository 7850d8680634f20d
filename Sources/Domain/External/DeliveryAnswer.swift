import JSON

/// What an answer to a delivery means.
public enum DeliveryAnswer: Sendable, Hashable {
    case outcome(ToolOutcome)
    /// 202: the result comes later.
    case accepted
    /// Another attempt may succeed; the sentence says why this one did not.
    case retry(String)

    /// 200 and its like are the result or `{"error":{…}}`, 204 a result of null, 202 a promise. What may pass (408, 425, 429, 5xx) is tried
    /// again, the rest is final: the same call would get the same answer.
    ///
    /// - Parameters:
    ///   - isCut: there was more than `body`.
    ///   - maxResultBytes: policy's bound of a result that was cut; nil: it has none.
    public static func reading(status: Int, body: [UInt8], isCut: Bool, maxResultBytes: Int? = nil) -> DeliveryAnswer {
        switch status {
        case 202: return .accepted
        case 204, 205: return .outcome(.result(.null, source: .external))
        case 200...299: return .outcome(outcome(body, isCut: isCut, maxResultBytes))
        case 300...399: return .outcome(failed("redirect_refused", "The tool's system answered \(status); redirects are not followed."))
        case 408, 425, 429, 500...599: return .retry("The tool's system answered \(status).")
        case 410: return .outcome(failed("external_gone", "The tool's system answered 410: it is there no more."))
        default:
            let text = ResultCut.text(body.prefix(Limits.maxShownFailureBytes)).map { $0.isEmpty ? "." : ": \($0)" } ?? "."
            return .outcome(failed("http_\(status)", "The tool's system answered \(status)\(text)"))
        }
    }

    private static func failed(_ code: String, _ message: String) -> ToolOutcome {
        .failed(ToolError(code: code, message: message), source: .external)
    }

    /// Whatever comes, something comes of it: what is no JSON is a text, what is no text an error.
    private static func outcome(_ body: [UInt8], isCut: Bool, _ maxResultBytes: Int?) -> ToolOutcome {
        guard !body.isEmpty else { return .result(.null, source: .external) }
        let limits = JSONLimits(maxBytes: Limits.maxToolAnswerBytes)
        if !isCut, let document = try? JSONDocument(parsing: body, limits: limits) {
            let root = document.root
            if root.kind == .object, root.count == 1, let error = root["error"], error.kind != .null {
                let read = try? ToolError(reading: error, at: "")
                let shown = ResultCut.failure(error.rawJSON.string, maxBytes: Limits.maxShownFailureBytes)
                return .failed(read ?? ToolError(code: "tool_failed", message: shown), source: .external)
            }
            return .result(root.rawJSON.compacted(), source: .external)
        }
        guard let text = ResultCut.text(body[...], isCut: isCut) else {
            return failed("not_text", "The tool's system answered with something that is no text.")
        }
        return isCut
            ? .part(text, maxBytes: maxResultBytes, source: .external) : .result(ResultCut.string(text), source: .external)
    }
}
