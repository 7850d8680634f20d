/// Who makes a change, from where, in which request: what every row of the audit log says.
public struct ChangeAuthor: Sendable, Hashable {
    public enum Kind: String, Sendable {
        /// A key of the tenant.
        case key
        /// A key of the platform's admins.
        case admin
        /// A device that spends its enrolment token.
        case enrollmentToken = "enrollment_token"
        /// A page that holds a run token.
        case runToken = "run_token"
        /// An agent, by what its run asked of a tool.
        case agent
        /// Somebody at the gateway's own command line.
        case `operator`
    }

    public let kind: Kind
    /// Of the key or the token; an operator's account on the machine.
    public let id: String
    /// The client's, as the gateway saw it; nil where there was no connection.
    public let address: String?
    public let requestID: String?

    public init(kind: Kind, id: String, address: String? = nil, requestID: String? = nil) {
        self.kind = kind
        self.id = id
        self.address = address
        self.requestID = requestID
    }
}
