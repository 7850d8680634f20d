/// What `GET /health/ready` tells.
public struct HealthReport: Sendable {
    public struct Check: Sendable {
        public let name: String
        public let isUp: Bool
        public let detail: String
        public let isRequired: Bool
    }

    public private(set) var checks: [Check] = []

    public var isReady: Bool { checks.allSatisfy { $0.isUp || !$0.isRequired } }
    public var isDegraded: Bool { checks.contains { !$0.isUp } }

    mutating func add(_ name: String, isUp: Bool, detail: String, isRequired: Bool) {
        checks.append(Check(name: name, isUp: isUp, detail: detail, isRequired: isRequired))
    }
}
