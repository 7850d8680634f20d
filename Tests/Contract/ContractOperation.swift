/// One operation of the description, references followed.
public struct ContractOperation: Sendable {
    /// In capitals.
    public let method: String
    /// With `{parameters}`.
    public let path: String
    public let operationID: String
    /// `admin`, or nil for what is public.
    public let scope: String?
    /// What it asks of a run token: watch, tools or approvals; nil: it takes none.
    public let runToken: String?
    public let auditActions: [String]
    public let parameters: [SpecValue]
    public let requestBody: SpecValue?
    let responses: [Int: ContractResponse]
    private let template: [Substring]

    init(
        method: String, path: String, operationID: String, scope: String?, runToken: String?, auditActions: [String],
        parameters: [SpecValue],
        requestBody: SpecValue?, responses: [Int: ContractResponse]
    ) {
        self.method = method
        self.path = path
        self.operationID = operationID
        self.scope = scope
        self.runToken = runToken
        self.auditActions = auditActions
        self.parameters = parameters
        self.requestBody = requestBody
        self.responses = responses
        template = path.split(separator: "/", omittingEmptySubsequences: false)
        literalParts = template.count { !$0.hasPrefix("{") }
    }

    public var statuses: [Int] { responses.keys.sorted() }
    public var bodySchema: SpecValue? { requestBody?["content"]?["application/json"]?["schema"] }

    public func parameter(_ name: String, in place: String) -> SpecValue? {
        parameters.first { $0["name"]?.string == name && $0["in"]?.string == place }
    }

    public func hasHeader(_ name: String, at status: Int) -> Bool { responses[status]?.headers.contains { $0.name == name } ?? false }
    public func codes(at status: Int) -> Set<String> { responses[status]?.codes ?? [] }

    func matches(_ parts: [Substring]) -> Bool {
        template.count == parts.count && zip(template, parts).allSatisfy { $0.hasPrefix("{") ? !$1.isEmpty : $0 == $1 }
    }

    let literalParts: Int
}

/// One response of an operation.
struct ContractResponse: Sendable {
    let headers: [(name: String, isRequired: Bool, schema: SpecValue)]
    /// By media type.
    let content: [SpecValue.Member]
    /// Of a failure: what `code` may be.
    let codes: Set<String>
}
