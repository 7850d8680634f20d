import JSON

extension ToolOutcome {
    /// The same outcome within its bounds, whoever gave it: results in policy's and the gateway's, cut in the form of `ResultCut`; the text of a
    /// failure in the gateway's. Every outcome passes here on its way into the log (`RunMachine.record`), and nowhere else is one cut whose
    /// end is known.
    ///
    /// - Parameter maxBytes: policy's for this call; nil: it has none.
    public func bounded(to maxBytes: Int?) -> ToolOutcome {
        switch self {
        case .result(let json, let source):
            let maxBytes = Self.bound(maxBytes)
            guard json.bytes.count > maxBytes else { return self }
            // A result that is a string is shown as its text, any other as its JSON.
            let text = (json.bytes.first == UInt8(ascii: "\"") ? try? json.document().root.string : nil) ?? json.string
            return .result(ResultCut.json(text, bytes: json.bytes.count, maxBytes: maxBytes), source: source)
        case .failed(let error, let source) where error.message.utf8.count > Limits.maxToolErrorBytes:
            return .failed(ToolError(code: error.code, message: ResultCut.failure(error.message)), source: source)
        case .failed, .expired, .denied, .canceled: return self
        }
    }

    /// A result of which the gateway read the beginning only, since there was more than it reads of an answer.
    public static func part(_ beginning: String, maxBytes: Int?, source: ResultSource) -> ToolOutcome {
        .result(ResultCut.json(beginning, bytes: nil, maxBytes: bound(maxBytes)), source: source)
    }

    private static func bound(_ maxBytes: Int?) -> Int { min(maxBytes ?? .max, Limits.maxToolResultBytes) }
}
