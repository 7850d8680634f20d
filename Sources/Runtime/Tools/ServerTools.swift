import Domain
import JSON
import Storage

/// Tools that this process carries out itself. What asks nobody is safe to repeat; a request is sent at least once, under the call's id
/// as its `Idempotency-Key`, so that a repetition after a crash can be known; a call to an MCP server is made at least once.
struct ServerTools: Sendable {
    let egress: EgressGuard
    let tenant: TenantScope
    let runDeadline: Timestamp
    /// All that the agent's config names, so that a value is cut out of every result, whichever tool gives it back.
    let secrets: [Secret]
    let values: SecretValues
    let mcp: MCPTools
    let servers: [MCPServerConfig]
    let connections: MCPConnections

    init(
        egress: EgressGuard, tenant: TenantScope, runDeadline: Timestamp, secrets: [Secret], mcp: MCPTools,
        servers: [MCPServerConfig], connections: MCPConnections
    ) {
        self.egress = egress
        self.tenant = tenant
        self.runDeadline = runDeadline
        self.secrets = secrets
        self.mcp = mcp
        self.servers = servers
        self.connections = connections
        values = SecretValues(secrets)
    }

    enum Performed: Sendable {
        case outcome(ToolOutcome)
        /// The outcome comes by itself at that time; nobody works on the call until then.
        case due(Timestamp)
    }

    /// - Parameter pass: the gate's, for this call; there is no other way to have one. What was judged is what is carried out: the
    ///   arguments and bounds are the pass's.
    func perform(_ tool: ToolDefinition, _ pass: ToolPass) async throws -> Performed {
        guard tool.name == pass.tool else {
            let error = ToolError(code: "not_a_server_tool", message: "The gate let \(pass.tool) through, and not \(tool.name).")
            return .outcome(.failed(error, source: .gateway))
        }
        if case .waiting(let waiting) = tool.serverKind { return begin(waiting, pass, seconds: seconds(of: tool, pass)) }
        return .outcome(values.cut(from: try await outcome(of: tool, pass)))
    }

    /// Policy may have given the call less time than the tool asks for.
    private func seconds(of tool: ToolDefinition, _ pass: ToolPass) -> Int { min(tool.timeoutSeconds, pass.timeoutSeconds ?? .max) }

    /// A wait is bounded by the call's time-out, counted from here: from here on the call has its run's time, so one that fills its time-out
    /// to the second fires. One that would end after its run could only fail it: the model is told at once.
    private func begin(_ waiting: WaitingTool, _ pass: ToolPass, seconds: Int) -> Performed {
        func failed(_ code: String, _ message: String) -> Performed {
            .outcome(values.cut(from: .failed(ToolError(code: code, message: message), source: .server)))
        }
        let now = Timestamp.now()
        guard let root = try? pass.arguments.document().root else {
            return failed("invalid_arguments", "The arguments are no JSON.")
        }
        let due: Timestamp
        do throws(TemplateError) { due = try waiting.due(root, from: now) } catch { return failed("invalid_arguments", error.message) }
        guard due < runDeadline else {
            return failed("after_deadline", "The wait would end at \(due), and the run has to end before \(runDeadline).")
        }
        guard due <= now.adding(seconds: seconds) else {
            return failed("after_deadline", "The wait would end at \(due), and this call has \(seconds) seconds.")
        }
        return .due(due)
    }

    private func outcome(of tool: ToolDefinition, _ pass: ToolPass) async throws -> ToolOutcome {
        let seconds = seconds(of: tool, pass)
        switch tool.serverKind {
        case .static(let output): return .result(output, source: .server)
        case .passThrough: return .result(pass.arguments, source: .server)
        case .compute(let expression): return Self.compute(expression, pass.arguments)
        case .request(let request):
            return try await RequestCall(
                tool: request, pass: pass, timeoutSeconds: seconds, egress: egress, tenant: tenant, secrets: secrets, values: values
            ).outcome()
        case .mcp(let server, let name):
            guard let place = servers.first(where: { $0.name == server }) else { break }
            return try await mcp.perform(name, of: place, arguments: pass.arguments, timeoutSeconds: seconds, connections)
        case .waiting, .agent, nil: break
        }
        return .failed(ToolError(code: "not_a_server_tool", message: "\(tool.name) does not run on the server."), source: .gateway)
    }

    private static func compute(_ expression: ComputeExpression, _ arguments: RawJSON) -> ToolOutcome {
        guard let root = try? arguments.document().root else {
            return .failed(ToolError(code: "invalid_arguments", message: "The arguments are no JSON."), source: .server)
        }
        do throws(ComputeError) {
            return .result(try expression.evaluate(root), source: .server)
        } catch {
            return .failed(ToolError(code: "compute_failed", message: "The expression \(error)."), source: .server)
        }
    }
}
