import CLibPQ

/// Where the server is, and every bound of the client.
public struct PostgresConfiguration: Sendable {
    /// Connections whose segments travel in groups.
    public var sharedConnections = 2
    /// Connections for interactive transactions and slow statements.
    public var transactionConnections = 4
    /// Of these, what one scope may hold; its other callers wait while those of other scopes pass. What has no scope is one more.
    public var transactionsPerScope = 2
    /// Connections for lists, and what one scope may hold of them.
    public var listConnections = 2
    public var listsPerScope = 1
    public var statementTimeoutMilliseconds = 10_000
    public var listTimeoutMilliseconds = 5_000
    /// Bounds each attempt to connect, and the wait of a caller while nothing is connected.
    public var connectTimeoutSeconds = 5
    /// Accepted and not yet sent, over both lanes.
    public var maxQueuedSegments = 50_000
    /// Parameters and text of what is accepted and not yet sent.
    public var maxQueuedBytes = 512 << 20
    /// Segments that share one Sync.
    public var maxGroup = 64
    /// Parameters of one statement.
    public var maxParameterBytes = 64 << 20
    public var maxResultBytes = 256 << 20
    /// A setting such as "app.tenant_id", set to the scope (or to '') in front of every segment.
    public var scopeSetting: String? = nil
    public var applicationName = "hsafa"
    /// Plans prepared statements once instead of weighing a new plan at each use (`plan_cache_mode`): right where every statement's best
    /// plan is the same for all parameters, as with look-ups by key; on partitioned tables the planning saved is a quarter of a read.
    public var usesGenericPlans = false
    /// Plans anew at each use, so that a condition whose parameter is NULL is none, and the others find their index.
    private(set) var plansForParameters = false
    /// Server-side statements kept per connection.
    public var maxPreparedStatements = 256
    /// Callers that wait for a connection of the transaction lane, and how long they do. Beyond it a scope may have one that waits.
    public var maxQueuedTransactions = 1_000
    public var leaseTimeoutMilliseconds = 30_000
    /// The same for lists.
    public var maxQueuedLists = 1_000
    public var listWaitMilliseconds = 10_000
    /// Callers of one scope that wait for a connection of either lane.
    public var maxQueuedPerScope = 256
    /// The server ends a transaction whose body does nothing for so long.
    public var idleTransactionTimeoutMilliseconds = 60_000
    /// What is in flight at shutdown gets this long.
    public var shutDownGraceMilliseconds = 5_000

    struct Option: Sendable {
        let keyword: String
        let value: String
    }
    let options: [Option]

    /// A libpq URI or a "key=value …" string; `sslmode` and its like mean what libpq says.
    public init(url: String) throws(PostgresError) {
        guard !url.utf8.contains(0) else { throw PostgresError(.configuration, "the database URL holds U+0000") }
        var failure: UnsafeMutablePointer<CChar>?
        guard let parsed = PQconninfoParse(url, &failure) else {
            // libpq quotes the part it stumbled over, which may be a password: its text stays out.
            PQfreemem(failure)
            throw PostgresError(.configuration, "the database URL is not a libpq URI or key=value string")
        }
        defer { PQconninfoFree(parsed) }
        var options: [Option] = []
        var next = parsed
        while let keyword = next.pointee.keyword {
            if let value = next.pointee.val {
                options.append(Option(keyword: String(cString: keyword), value: String(cString: value)))
            }
            next += 1
        }
        try Self.check(options)
        self.options = options
    }

    private static let sslModes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]

    /// What libpq looks at when it connects, and would be refused again and again. Values stay out of the text: which part of a
    /// mistyped URL is the password, nobody knows.
    private static func check(_ options: [Option]) throws(PostgresError) {
        for option in options where !option.value.isEmpty {
            switch option.keyword {
            case "port":
                // One for each host of a list.
                let ports = option.value.split(separator: ",", omittingEmptySubsequences: false)
                guard ports.allSatisfy({ $0.isEmpty || (Int($0).map { (1...65_535).contains($0) } ?? false) }) else {
                    throw PostgresError(.configuration, "its port must be a number from 1 to 65535")
                }
            case "sslmode":
                guard sslModes.contains(option.value) else {
                    throw PostgresError(.configuration, "its sslmode must be one of \(sslModes.joined(separator: ", "))")
                }
            default: break
            }
        }
    }

    /// For connections of the lists' lane.
    var forLists: PostgresConfiguration {
        var lists = self
        lists.statementTimeoutMilliseconds = listTimeoutMilliseconds
        // A list's best plan depends on which of its filters are given.
        lists.usesGenericPlans = false
        lists.plansForParameters = true
        return lists
    }

    /// What each connection is opened with: the URL's options over our defaults, and what we insist on.
    var connectionOptions: [Option] {
        func given(_ keyword: String) -> String? { options.first { $0.keyword == keyword }?.value }
        // A dead peer is noticed by the kernel; a hung one by the connection's own deadline.
        let defaults = [
            Option(keyword: "application_name", value: applicationName), Option(keyword: "keepalives_idle", value: "30"),
            Option(keyword: "keepalives_interval", value: "10"), Option(keyword: "keepalives_count", value: "3"),
            Option(keyword: "tcp_user_timeout", value: "30000"),
        ]
        let settings = [
            given("options") ?? "", "-c statement_timeout=\(max(0, statementTimeoutMilliseconds))",
            "-c idle_in_transaction_session_timeout=\(max(0, idleTransactionTimeoutMilliseconds))",
            usesGenericPlans ? "-c plan_cache_mode=force_generic_plan" : "",
            plansForParameters ? "-c plan_cache_mode=force_custom_plan" : "",
        ]
        return defaults.filter { given($0.keyword) == nil }
            + options.filter { $0.keyword != "options" && $0.keyword != "client_encoding" }
            + [
                Option(keyword: "options", value: settings.filter { !$0.isEmpty }.joined(separator: " ")),
                Option(keyword: "client_encoding", value: "UTF8"),
            ]
    }
}

/// A moment's figures; counts are since the client was made.
public struct PostgresStatistics: Sendable, Equatable {
    public var connectionsUp = 0
    /// Segments sent, reruns included.
    public var segments = 0
    public var groups = 0
    /// Segments sent again because a neighbour in their group failed.
    public var reruns = 0
    /// Connections made after the first of their slot.
    public var reconnects = 0
    /// Accepted and not yet sent.
    public var queued = 0
}
