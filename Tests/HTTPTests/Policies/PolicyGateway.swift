import Domain
import Foundation
import HsafaClient
import JSON
import Runtime
import Synchronization
import TestServers
import TestSupport
import Testing

/// A gateway with a policies folder of its own, over a database of its own.
struct PolicyGateway: Sendable {
    let gateway: TestGateway
    let folder: String

    static let allowAll = "version: 1\nrules:\n  - id: all\n    effect: allow\n"

    static func running(
        in environment: TestEnvironment? = nil, maxConcurrentRuns: Int = 256,
        _ configure: (inout GatewayConfiguration) -> Void = { _ in }
    ) async throws -> PolicyGateway {
        let folder = try temporaryFolder(["policy.yaml": allowAll])
        let database = if let environment { environment } else { try await TestEnvironment.fresh() }
        return PolicyGateway(
            gateway: try await TestGateway.running(in: database, maxConcurrentRuns: maxConcurrentRuns) { configuration in
                configuration.policiesDirectory = folder
                configure(&configuration)
            },
            folder: folder)
    }

    /// Read when it returns; in force if it is right.
    func write(_ policy: String) throws {
        try Data(policy.utf8).write(to: URL(filePath: folder + "/policy.yaml"))
        gateway.gateway.policies.reload(always: true)
    }

    /// In force when it returns.
    func set(_ policy: String) throws {
        try write(policy)
        try #require(gateway.gateway.policies.status.faults.isEmpty, "\(gateway.gateway.policies.status.faults)")
    }
}

extension ToolTarget {
    /// A tool of this target, as a config declares it.
    func tool(_ name: String) -> String {
        switch self {
        case .server: #"{"name":"\#(name)","executionType":"basic","execution":{"mode":"pass-through"}}"#
        case .device: #"{"name":"\#(name)","target":"device","device":{"labels":{"zone":"lab"}},"timeoutSeconds":120}"#
        case .browser: #"{"name":"\#(name)","target":"browser","timeoutSeconds":120}"#
        case .external: #"{"name":"\#(name)","target":"external","timeoutSeconds":120}"#
        }
    }
}

extension TestTenant {
    /// A run of an agent of this name, published before.
    func start(_ agent: String) async throws -> String {
        try await send("POST", "/api/runs", #"{"agentName":"\#(agent)",\#(RunTests.hi)}"#).string("runId")
    }

    func approval(of run: String) async throws -> (call: String, hash: String) {
        let event = try #require(try await events(run) { $0.type == "tool.call.approval_required" }.last)
        try #require(event.type == "tool.call.approval_required")
        return (try #require(event["callId"]), try #require(event["callHash"]))
    }

    func decide(_ what: String, _ run: String, _ call: String, _ body: String? = nil) async throws -> Answer {
        try await send("POST", "/api/runs/\(run)/tool-calls/\(call)/\(what)", body)
    }
}
