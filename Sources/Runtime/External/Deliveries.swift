import Domain
import JSON
import Logging
import Storage
import Synchronization

/// Attempts to deliver calls to external tools, signed per Standard Webhooks. Bounded for the process and for each tenant.
final class Deliveries: Sendable {
    private struct State {
        var underWay: [TenantID: Int] = [:]
        var total = 0
    }

    private let database: Database
    private let runs: RunService
    private let versions: VersionBook
    private let secrets: SecretService
    private let external: ExternalService
    private let egress: EgressGuard
    private let gate: ToolGate
    private let publicURL: String
    private let logger: Logger
    private let state = Mutex(State())
    private let ended = Signal()

    init(
        database: Database, runs: RunService, versions: VersionBook, secrets: SecretService, external: ExternalService,
        egress: EgressGuard, gate: ToolGate, publicURL: String, logger: Logger
    ) {
        self.database = database
        self.runs = runs
        self.versions = versions
        self.secrets = secrets
        self.external = external
        self.egress = egress
        self.gate = gate
        self.publicURL = publicURL
        self.logger = logger
    }

    /// Those who have as many under way as one tenant may.
    func busyTenants() -> [TenantID] {
        state.withLock { $0.underWay.filter { $0.value >= Limits.deliveriesOfTenantAtOnce }.map(\.key) }
    }

    /// Returns when another delivery may begin.
    func room() async {
        while state.withLock({ $0.total >= Limits.deliveriesAtOnce }), !Task.isCancelled { await ended.wait() }
    }

    /// - Returns: milliseconds until the next attempt, if there is one.
    func attempt(_ call: DueCall) async -> Int? {
        state.withLock { state in
            state.total += 1
            state.underWay[call.scope.tenantID, default: 0] += 1
        }
        defer {
            state.withLock { state in
                state.total -= 1
                let left = (state.underWay[call.scope.tenantID] ?? 1) - 1
                state.underWay[call.scope.tenantID] = left > 0 ? left : nil
            }
            ended.raise()
        }
        do { return try await deliver(call) } catch {
            // Taken again when the lease has run out.
            if !(error is CancellationError) {
                logger.warning("delivery cut short; it is tried again", metadata: ["run": "\(call.runID)", "cause": "\(error)"])
            }
            return nil
        }
    }

    private func deliver(_ call: DueCall) async throws -> Int? {
        let config = try await versions.config(call.scope, call.versionID)
        guard let record = try await database.tenant(call.scope).toolCall(call.callID), record.status.isOpen,
            let tool = config.tool(named: record.tool), let endpoint = tool.external
        else {
            try await database.tenant(call.scope).unschedule(call.callID, of: call.runID)
            return nil
        }
        // Asked again: policy may have changed since the call was requested.
        if let refusal = gate.refusal(call.scope, agent: call.agentName, tool: tool) {
            try await end(call, refusal)
            return nil
        }
        let values = SecretValues(try await secrets.open(config.secretNames, call.scope))
        switch try await post(call, record, tool, endpoint, values) {
        case .outcome(let outcome):
            try await end(call, values.cut(from: outcome))
            return nil
        case .accepted:
            try await database.tenant(call.scope).unschedule(call.callID, of: call.runID)
            return nil
        case .retry(let cause, let after): return try await retry(call, cause, afterSeconds: after ?? 0)
        }
    }

    private func post(
        _ call: DueCall, _ record: ToolCallRecord, _ tool: ToolDefinition, _ endpoint: ExternalEndpoint, _ values: SecretValues
    ) async throws -> DeliveryAnswer {
        let signers = try await external.signers(call.scope)
        guard let token = external.token(call), !signers.isEmpty else {
            return .outcome(
                .failed(
                    ToolError(
                        code: "no_signing_secret", message: "This tenant has no signing secret with which its tools could be called."),
                    source: .gateway))
        }
        let body = ExternalCall(
            runID: call.runID, callID: call.callID, tool: tool.name, arguments: record.arguments, agentName: call.agentName,
            deadlineAt: call.deadlineAt, resultURL: "\(publicURL)/api/tool-results/\(call.callID)", resultToken: token
        ).json.bytes
        do {
            let headers = try await self.headers(call, endpoint, body, signers)
            let response = try await egress.send(
                OutboundRequest(
                    method: "POST", url: endpoint.url, headers: headers, body: body, timeout: .seconds(Limits.deliverySeconds),
                    maxBodyBytes: Limits.maxToolResultBytes, redirects: .refuse, secrets: values), for: call.scope)
            let answer = DeliveryAnswer.reading(status: response.status, body: response.body, isCut: response.isCut)
            guard case .retry(let cause, _) = answer else { return answer }
            return .retry(cause, afterSeconds: response.header("retry-after").flatMap { Int($0) })
        } catch let error as EgressError {
            guard error.mayPass else {
                return .outcome(.failed(ToolError(code: error.code.rawValue, message: error.message), source: .gateway))
            }
            return .retry("\(error)", afterSeconds: nil)
        } catch let error as TemplateError {
            return .outcome(.failed(ToolError(code: "invalid_request", message: error.message), source: .gateway))
        }
    }

    private func headers(
        _ call: DueCall, _ endpoint: ExternalEndpoint, _ body: [UInt8], _ signers: [WebhookSecret]
    ) async throws -> [(name: String, value: String)] {
        let named = try await secrets.open(endpoint.secretNames, call.scope)
        for secret in named where !secret.mayGo(to: endpoint.url) {
            throw TemplateError("The secret \(secret.name) may not be sent to \(endpoint.url.host); add the host to the secret.")
        }
        var headers = try endpoint.filledHeaders(named)
        let timestamp = Timestamp.now().millisecondsSinceUnixEpoch / 1000
        let id = call.callID.description
        headers += [
            ("content-type", "application/json"), ("user-agent", "hsafa-gateway"), ("webhook-id", id),
            ("webhook-timestamp", "\(timestamp)"),
            ("webhook-signature", signers.map { $0.signature(id: id, timestamp: timestamp, body: body) }.joined(separator: " ")),
        ]
        return headers
    }

    /// Commit, then let go: a crash in between tries once more, and finds the outcome.
    private func end(_ call: DueCall, _ outcome: ToolOutcome) async throws {
        let decision = try await runs.decide(call.scope, call.runID) { RunMachine.record(outcome, of: call.callID, in: $0) }
        if decision.answer == .pastDeadline {
            _ = try await runs.decide(call.scope, call.runID) { RunMachine.record(.expired, of: call.callID, in: $0) }
        }
        try await database.tenant(call.scope).unschedule(call.callID, of: call.runID)
    }

    private func retry(_ call: DueCall, _ cause: String, afterSeconds: Int) async throws -> Int {
        let doubled = Limits.firstRetrySeconds << min(call.attempt - 1, 16)
        let seconds = min(doubled, Limits.lastRetrySeconds)
        let wanted = min(max(afterSeconds, 0), Limits.maxRetryAfterSeconds) * 1000
        let delay = max(Int(Double(seconds) * 1000 * .random(in: 0.75...1.25)), wanted)
        logger.info(
            "delivery failed; it is tried again",
            metadata: [
                "run": "\(call.runID)", "call": "\(call.callID)", "attempt": "\(call.attempt)", "inMilliseconds": "\(delay)",
                "cause": "\(cause)",
            ])
        try await database.tenant(call.scope).reschedule(call.callID, of: call.runID, afterMilliseconds: delay)
        return delay
    }
}

extension ExternalEndpoint {
    /// Its headers with the secrets in them.
    func filledHeaders(_ secrets: [Secret]) throws(TemplateError) -> [(name: String, value: String)] {
        guard let nothing = try? RawJSON.emptyObject.document().root else { return [] }
        let values = TemplateValues(arguments: nothing, secrets: secrets)
        var filled: [(name: String, value: String)] = []
        for field in headers {
            if let value = try field.headerValue(values) { filled.append((field.name, value)) }
        }
        return filled
    }
}
