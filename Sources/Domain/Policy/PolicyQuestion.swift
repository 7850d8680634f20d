public import JSON

/// May this agent of this tenant use this tool there?
public struct PolicyQuestion: Sendable {
    /// What is known of the device that a call goes to.
    public enum Device: Sendable, Hashable {
        /// Not chosen yet; it will have at least these labels.
        case open(labels: [String: String])
        case chosen(labels: [String: String])
    }

    public let tenantSlug: String
    public let agentName: String
    public let target: ToolTarget
    public let tool: String
    /// nil: not known yet, as when a version is published. A rule that looks at them then may match.
    public let arguments: JSONNode?
    /// Looked at for target `device` alone.
    public let device: Device

    public init(
        tenantSlug: String, agentName: String, target: ToolTarget, tool: String, arguments: JSONNode? = nil,
        device: Device = .open(labels: [:])
    ) {
        self.tenantSlug = tenantSlug
        self.agentName = agentName
        self.target = target
        self.tool = tool
        self.arguments = arguments
        self.device = device
    }
}
