public import Domain
public import Postgres
public import Storage

extension PostgresClient {
    /// Rows of runs that calls of `run` started and that go on: as many as a test wants, in no log. For the owner's client.
    public func fillTree(of run: RunID, _ scope: TenantScope, _ agent: AgentRecord, children: Int) async throws {
        _ = try await query(
            """
            WITH called AS (
                INSERT INTO hsafa.tool_calls (tenant_id, run_id, call_id, provider_call_id, tool, target, args, status, deadline_at, child_run_id)
                SELECT \(scope.tenantID), \(run), gen_random_uuid(), 'p', 't', 'server', '{}', 'dispatched', now() + interval '1 hour',
                    (left(hsafa.uuid_at(now())::text, 19) || right(gen_random_uuid()::text, 17))::uuid
                FROM generate_series(1, \(children)) RETURNING call_id, child_run_id
            )
            INSERT INTO hsafa.runs (tenant_id, run_id, agent_id, agent_name, version_id, status, deadline_at, parent_run_id, parent_call_id,
                root_run_id, depth)
            SELECT \(scope.tenantID), child_run_id, \(agent.agentID), \(agent.name), \(agent.currentVersionID), 'waiting_tool',
                now() + interval '1 hour', \(run), call_id, \(run), 1
            FROM called
            """, scope: scope.tenantID.description, lane: .slow)
    }
}
