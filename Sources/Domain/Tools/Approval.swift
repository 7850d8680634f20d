import Cryptography
public import JSON

/// A person is to be asked before a call goes out.
public struct ApprovalRequest: Sendable, Hashable {
    /// From the request to its expiry, by Postgres' clock.
    public let expiresSeconds: Int
    /// About the same moment, for people.
    public let expiresAt: Timestamp
    /// The rules that want it.
    public let rules: [String]

    public init(expiresSeconds: Int, rules: [String], now: Timestamp) {
        self.expiresSeconds = expiresSeconds
        expiresAt = now.adding(seconds: expiresSeconds)
        self.rules = rules
    }
}

public enum ApprovalStatus: String, Sendable, Hashable, CaseIterable {
    case pending, approved, denied, expired, canceled
}

/// How an approval of a call of the log stands. Bound to the hash of the exact call, so that it is good for nothing else.
public enum CallApproval: Sendable, Hashable {
    case pending(callHash: String)
    case approved(callHash: String)
}

/// A call that waits for a person from now on.
public struct ApprovalHold: Sendable, Hashable {
    public let callID: CallID
    public let tool: String
    public let target: ToolTarget
    public let callHash: String
    /// What the person is shown.
    public let arguments: RawJSON
    public let expiresSeconds: Int
    public let rules: [String]
}

/// An approval that is no longer pending.
public struct ApprovalSettlement: Sendable, Hashable {
    public let callID: CallID
    public let status: ApprovalStatus
    /// Of an approved call, from now; nil otherwise.
    public let timeoutSeconds: Int?
}

/// What names an exact call: its id, its tool, where it runs and every byte of its arguments.
enum CallHash {
    static func of(_ callID: CallID, tool: String, target: ToolTarget, arguments: RawJSON) -> String {
        var text = Array("hsafa.call.v1\n\(callID)\n\(target.rawValue)\n\(tool)\n".utf8)
        text += arguments.bytes
        return "sha256:" + Hex.encode(SHA256.hash(text))
    }
}
