import JSON

/// What a vendor says went wrong, in a response's body or in the middle of its stream. All fields are free of the credential.
struct VendorFailure {
    var message: String
    var type: String
    var code: String
    /// The HTTP status, or the one that the error object itself carries in a stream.
    var status: Int?

    static let maxMessageBytes = 500

    /// `error` is an object of OpenAI's form or a plain string; servers that send neither have `message` or `detail` beside it.
    init?(_ root: JSONNode, status: Int?, secret: String?) {
        let clean = { (text: String?) in (text ?? "").cleaned(without: secret, maxBytes: Self.maxMessageBytes) }
        guard let error = root["error"], !error.isNull else {
            guard let message = root["message"]?.string ?? root["detail"]?.string else { return nil }
            self.init(message: clean(message), type: clean(root["type"]?.string), code: clean(root["code"]?.string), status: status)
            return
        }
        guard error.kind == .object else {
            let text = error.string ?? String(decoding: error.raw, as: UTF8.self)
            self.init(message: clean(text), type: "", code: clean(root["code"]?.string), status: status)
            return
        }
        let number = error["code"]?.int ?? error["status"]?.int
        self.init(
            message: clean(error["message"]?.string), type: clean(error["type"]?.string), code: clean(error["code"]?.string),
            status: status ?? number.flatMap { (400...599).contains($0) ? $0 : nil })
    }

    init(message: String, type: String = "", code: String = "", status: Int?) {
        self.message = message
        self.type = type
        self.code = code
        self.status = status
    }

    /// An error response: its body is JSON, or any text.
    init(body: [UInt8], status: Int, secret: String?) {
        let root = try? JSONDocument(parsing: body, limits: .vendor).root
        if let root, let failure = VendorFailure(root, status: status, secret: secret) {
            self = failure
        } else {
            let text = String(decoding: body, as: UTF8.self)
            self.init(message: text.cleaned(without: secret, maxBytes: Self.maxMessageBytes), status: status)
        }
    }

    func error(retryAfterMilliseconds: Int? = nil) -> ModelError {
        let kind = kind
        let where_ = status.map { " (\($0))" } ?? ""
        return ModelError(
            code: kind, publicMessage: Self.sentence(kind, where_, vendorSaid: message),
            internalDetail: "vendor said: type=\(type) code=\(code) message=\(message)", statusCode: status,
            retryAfterMilliseconds: retryAfterMilliseconds, isRetryable: kind.mayPass)
    }

    /// The vendor's own names come first: a spent quota is a 429 like a rate limit, but waiting does not help.
    private var kind: ModelError.Code {
        let names = [code.lowercased(), type.lowercased()]
        let has = { (part: String) in names.contains { $0.contains(part) } }
        if Self.neverRetried.contains(where: has) { return .quotaExceeded }
        if has("content_filter") || has("content_policy") { return .contentFiltered }
        switch status {
        case 401: return .unauthorized
        case 402: return .quotaExceeded
        case 403: return .forbidden
        case 408: return .timeout
        case 409: return .overloaded
        case 429: return .rateLimited
        case .some(500...599): return .overloaded
        case .some(300...499): return .badRequest
        default: break
        }
        if has("rate_limit") || has("too_many_requests") { return .rateLimited }
        if has("invalid_api_key") || has("authentication") { return .unauthorized }
        if has("permission") { return .forbidden }
        if has("invalid") || has("context_length") || has("not_found") { return .badRequest }
        if has("server_error") || has("overloaded") || has("unavailable") || has("internal") { return .overloaded }
        return .interrupted
    }

    private static let neverRetried = [
        "insufficient_quota", "credit_balance", "insufficient_credit", "insufficient_balance", "spend_limit", "spending_limit", "billing",
        "payment_required",
    ]

    private static func sentence(_ kind: ModelError.Code, _ status: String, vendorSaid message: String) -> String {
        let reason = message.isEmpty ? "." : ": \(message)"
        return switch kind {
        // Vendors repeat parts of the key in these messages.
        case .unauthorized: "The model provider refused the API key\(status). Check model.apiKey."
        case .forbidden: "The API key may not use this model\(status)\(reason)"
        case .quotaExceeded: "The account at the model provider has no quota or credit left\(status)\(reason)"
        case .rateLimited: "The model provider limits the rate of requests\(status). Try again later."
        case .overloaded: "The model provider is overloaded or failing\(status). Try again later."
        case .timeout: "The model provider gave up waiting\(status). Try again later."
        case .contentFiltered: "The model provider's content filter refused the request\(status)\(reason)"
        case .badRequest: "The model provider refused the request\(status)\(reason)"
        default: "The model provider broke the answer off\(status)\(reason)"
        }
    }
}

extension JSONLimits {
    /// Other people's JSON: a repeated key is no reason to lose an answer.
    static let vendor = JSONLimits(maxDepth: 64, maxBytes: 4 << 20, rejectsDuplicateKeys: false)
}
