public import Domain
public import JSON
public import Storage

/// What a caller asks for when it starts a run.
public struct NewRun: Sendable {
    public enum Agent: Sendable {
        case id(AgentID)
        case name(String)
    }

    public var agent: Agent
    /// nil: the agent's current version.
    public var versionID: AgentVersionID?
    public var messages: [InitialMessage]
    /// The finished run whose conversation this one continues.
    public var previousRunID: RunID?
    public var metadata: RawJSON?
    public var deadlineSeconds: Int?

    public init(
        agent: Agent, versionID: AgentVersionID? = nil, messages: [InitialMessage], previousRunID: RunID? = nil, metadata: RawJSON? = nil,
        deadlineSeconds: Int? = nil
    ) {
        self.agent = agent
        self.versionID = versionID
        self.messages = messages
        self.previousRunID = previousRunID
        self.metadata = metadata
        self.deadlineSeconds = deadlineSeconds
    }
}

/// A run that is written, and of which nobody has heard yet.
public struct CreatedRun: Sendable {
    public let record: RunRecord
    let event: NewRunEvent
    let time: Timestamp
}
