/// What a rule says of a call that it matches; the greater is the stricter, and the strictest wins.
public enum PolicyEffect: String, Sendable, Hashable, CaseIterable, Comparable {
    case allow
    /// A person is asked before the call goes out.
    case requireApproval = "require_approval"
    case deny

    private var strictness: Int {
        switch self {
        case .allow: 0
        case .requireApproval: 1
        case .deny: 2
        }
    }

    public static func < (left: PolicyEffect, right: PolicyEffect) -> Bool { left.strictness < right.strictness }
}

/// The bounds that a rule sets to the calls it lets through. Of several that match, the smallest of each holds.
public struct PolicyLimits: Sendable, Hashable {
    /// Calls of one run that the rule covers.
    public var perRun: Int?
    /// Calls of the tenant that the rule covers, in any sixty seconds.
    public var perMinute: Int?
    /// From the request of a call, or from its approval, to its expiry.
    public var timeoutSeconds: Int?
    /// Of the result's JSON; a larger one is cut, and says so.
    public var maxResultBytes: Int?

    public init(perRun: Int? = nil, perMinute: Int? = nil, timeoutSeconds: Int? = nil, maxResultBytes: Int? = nil) {
        self.perRun = perRun
        self.perMinute = perMinute
        self.timeoutSeconds = timeoutSeconds
        self.maxResultBytes = maxResultBytes
    }

    public static let none = PolicyLimits()

    public func narrowed(by other: PolicyLimits) -> PolicyLimits {
        PolicyLimits(
            perRun: Self.smaller(perRun, other.perRun), perMinute: Self.smaller(perMinute, other.perMinute),
            timeoutSeconds: Self.smaller(timeoutSeconds, other.timeoutSeconds),
            maxResultBytes: Self.smaller(maxResultBytes, other.maxResultBytes))
    }

    static func smaller(_ left: Int?, _ right: Int?) -> Int? {
        guard let left, let right else { return left ?? right }
        return min(left, right)
    }
}

/// A rule whose calls are counted: each such rule has counts of its own.
public struct CountedRule: Sendable, Hashable {
    public let rule: String
    public let perRun: Int?
    public let perMinute: Int?

    public init(rule: String, perRun: Int?, perMinute: Int?) {
        self.rule = rule
        self.perRun = perRun
        self.perMinute = perMinute
    }
}
