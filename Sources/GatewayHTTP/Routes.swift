import Domain
import HTTPTypes
import Runtime

/// The whole API on one screen. `openapi.yaml` describes the same rows; a test compares them.
enum RouteTable {
    static let all: [Route] = [
        Route(open: .get, "/health", "getHealth", GetHealth.self),
        Route(open: .get, "/health/ready", "getReadiness", GetReadiness.self),
        Route(open: .get, "/openapi.yaml", "getOpenAPI", GetOpenAPI.self),
        Route(open: .get, "/docs", "getDocs", GetDocs.self),
        Route(open: .get, "/docs/{file}", "getDocsFile", GetDocsFile.self),

        Route(.post, "/api/agents", .agentsWrite, "createAgent", CreateAgent.self),
        Route(.get, "/api/agents", .agentsRead, "listAgents", ListAgents.self),
        Route(.get, "/api/agents/{agentId}", .agentsRead, "getAgent", GetAgent.self),
        Route(.patch, "/api/agents/{agentId}", .agentsWrite, "updateAgent", UpdateAgent.self),
        Route(.delete, "/api/agents/{agentId}", .agentsWrite, "deleteAgent", DeleteAgent.self),
        Route(.post, "/api/agents/{agentId}/versions", .agentsWrite, "publishAgentVersion", PublishAgentVersion.self),
        Route(.get, "/api/agents/{agentId}/versions", .agentsRead, "listAgentVersions", ListAgentVersions.self),
        Route(.get, "/api/agents/{agentId}/versions/{versionId}", .agentsRead, "getAgentVersion", GetAgentVersion.self),

        Route(.post, "/api/runs", .runsWrite, "createRun", CreateRun.self, taking: .runCreation),
        Route(.get, "/api/runs", .runsRead, "listRuns", ListRuns.self),
        Route(.get, "/api/runs/{runId}", .runsRead, "getRun", GetRun.self, page: .watch),
        Route(.get, "/api/runs/{runId}/events", .runsRead, "listRunEvents", ListRunEvents.self),
        Route(.get, "/api/runs/{runId}/stream", .runsRead, "streamRun", StreamRun.self, taking: .stream, page: .stream),
        Route(.post, "/api/runs/{runId}/cancel", .runsCancel, "cancelRun", CancelRun.self),
        Route(.get, "/api/runs/{runId}/tool-calls", .runsRead, "listToolCalls", ListToolCalls.self),
        Route(.post, "/api/runs/{runId}/tool-results", .toolsRespond, "submitToolResult", SubmitToolResult.self, page: .tools),
        Route(.post, "/api/runs/{runId}/tool-calls/{callId}/approve", .approvalsWrite, "approveCall", ApproveCall.self, page: .approvals),
        Route(.post, "/api/runs/{runId}/tool-calls/{callId}/deny", .approvalsWrite, "denyCall", DenyCall.self, page: .approvals),
        Route(.post, "/api/runs/{runId}/tokens", .runsRead, "createRunToken", CreateRunToken.self),
        Route(.get, "/api/runs/{runId}/tokens", .runsRead, "listRunTokens", ListRunTokens.self),
        Route(.delete, "/api/runs/{runId}/tokens/{tokenId}", .runsRead, "revokeRunToken", RevokeRunToken.self),
        Route(.get, "/api/approvals", .approvalsWrite, "listApprovals", ListApprovals.self),

        Route(.get, "/api/policies", .policiesRead, "getPolicies", GetPolicies.self),
        Route(.post, "/api/policies/evaluate", .policiesRead, "evaluatePolicies", EvaluatePolicies.self),
        Route(.put, "/api/policies/{policyName}", .policiesWrite, "putPolicy", PutPolicy.self),
        Route(.delete, "/api/policies/{policyName}", .policiesWrite, "deletePolicy", DeletePolicy.self),

        Route(.post, "/api/keys", .keysWrite, "createKey", CreateKey.self),
        Route(.get, "/api/keys", .keysRead, "listKeys", ListKeys.self),
        Route(.get, "/api/keys/{keyId}", .keysRead, "getKey", GetKey.self),
        Route(.post, "/api/keys/{keyId}/rotate", .keysWrite, "rotateKey", RotateKey.self),
        Route(.delete, "/api/keys/{keyId}", .keysWrite, "revokeKey", RevokeKey.self),
        Route(.get, "/api/audit", .auditRead, "listAudit", ListAudit.self),

        Route(.post, "/api/devices/enrollment-tokens", .devicesWrite, "createEnrollmentToken", CreateEnrollmentToken.self),
        Route(open: .post, "/api/devices/enroll", "enrollDevice", EnrollDevice.self),
        Route(.get, "/api/devices", .devicesRead, "listDevices", ListDevices.self),
        Route(.post, "/api/devices", .devicesWrite, "registerDevice", RegisterDevice.self),
        Route(.get, "/api/devices/{deviceId}", .devicesRead, "getDevice", GetDevice.self),
        Route(.patch, "/api/devices/{deviceId}", .devicesWrite, "updateDevice", UpdateDevice.self),
        Route(.delete, "/api/devices/{deviceId}", .devicesWrite, "revokeDevice", RevokeDevice.self),
        Route(.post, "/api/devices/{deviceId}/approve", .devicesWrite, "approveDevice", ApproveDevice.self),
        Route(.get, "/api/devices/{deviceId}/sessions", .devicesRead, "listDeviceSessions", ListDeviceSessions.self),

        Route(.get, "/api/secrets", .secretsRead, "listSecrets", ListSecrets.self),
        Route(.put, "/api/secrets/{secretName}", .secretsWrite, "putSecret", PutSecret.self),
        Route(.delete, "/api/secrets/{secretName}", .secretsWrite, "deleteSecret", DeleteSecret.self),

        Route(.post, "/api/webhook-secret/rotate", .secretsWrite, "rotateWebhookSecret", RotateWebhookSecret.self),
        Route(open: .post, "/api/tool-results/{callId}", "submitExternalResult", SubmitExternalResult.self),

        Route(.get, "/api/usage", .usageRead, "getUsage", GetUsage.self),

        Route(admin: .post, "/api/admin/tenants", "createTenant", CreateTenant.self),
        Route(admin: .get, "/api/admin/tenants", "listTenants", ListTenants.self),
        Route(admin: .get, "/api/admin/tenants/{tenantId}", "getTenant", GetTenant.self),
        Route(admin: .patch, "/api/admin/tenants/{tenantId}", "updateTenant", UpdateTenant.self),
        Route(admin: .post, "/api/admin/tenants/{tenantId}/suspend", "suspendTenant", SuspendTenant.self),
        Route(admin: .post, "/api/admin/tenants/{tenantId}/resume", "resumeTenant", ResumeTenant.self),
        Route(admin: .post, "/api/admin/tenants/{tenantId}/keys", "createTenantKey", CreateTenantKey.self),
        Route(admin: .get, "/api/admin/tenants/{tenantId}/keys", "listTenantKeys", ListTenantKeys.self),
        Route(admin: .post, "/api/admin/tenants/{tenantId}/keys/{keyId}/rotate", "rotateTenantKey", RotateTenantKey.self),
        Route(admin: .delete, "/api/admin/tenants/{tenantId}/keys/{keyId}", "revokeTenantKey", RevokeTenantKey.self),
        Route(admin: .get, "/api/admin/policies", "getPolicyFolder", GetPolicyFolder.self),
        Route(admin: .get, "/api/admin/audit", "listAllAudit", ListAllAudit.self),

        // The socket itself is set up below HTTP; this answers those who ask for it in a way that cannot be upgraded.
        Route(open: .get, DeviceHandshake.path, "connectDevice", RefuseDeviceHandshake.self),
    ]

    /// For 405: the methods under which a path is known, each once, in the table's order. Of several templates that fit, the router takes
    /// the one whose literal segments come first, so only its methods count.
    static func methods(forPath path: String) -> [HTTPRequest.Method] {
        let parts = path.split(separator: "/")
        var best: (template: String, isLiteral: [Bool])?
        for route in all {
            let template = route.path.split(separator: "/")
            guard matches(template, parts) else { continue }
            let isLiteral = template.map { $0.first != "{" }
            if let best, !precedes(isLiteral, best.isLiteral) { continue }
            best = (route.path, isLiteral)
        }
        var methods: [HTTPRequest.Method] = []
        for route in all where route.path == best?.template && !methods.contains(route.method) {
            methods.append(route.method)
            if route.method == .get, route.operationID != "streamRun" { methods.append(.head) }
        }
        return methods
    }

    /// For CORS: what takes run tokens is for pages, of any origin. The methods under which this path is such an operation.
    static func methodsForPages(path: String) -> [HTTPRequest.Method] {
        guard path.hasPrefix("/api/runs/") else { return [] }
        let parts = path.split(separator: "/")
        return all.filter { $0.runToken != nil && matches($0.path.split(separator: "/"), parts) }.map(\.method)
    }

    private static func matches(_ template: [Substring], _ parts: [Substring]) -> Bool {
        template.count == parts.count && zip(template, parts).allSatisfy { $0.first == "{" || $0 == $1 }
    }

    private static func precedes(_ left: [Bool], _ right: [Bool]) -> Bool {
        zip(left, right).first { $0 != $1 }.map { $0.0 } ?? false
    }
}
