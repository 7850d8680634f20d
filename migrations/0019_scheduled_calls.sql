-- Calls for which something is due at a time: a timer's result, or the next attempt to deliver a call to an external tool. A row is taken
-- by moving its time ahead, so that what a crash cuts off is taken again.
CREATE TABLE hsafa.scheduled_calls (
    tenant_id uuid NOT NULL,
    run_id uuid NOT NULL,
    call_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('timer', 'delivery')),
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, run_id, call_id),
    FOREIGN KEY (tenant_id, run_id, call_id) REFERENCES hsafa.tool_calls
);
CALL hsafa.guard_tenant_table('scheduled_calls');
CREATE INDEX scheduled_calls_due ON hsafa.scheduled_calls (due_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON hsafa.scheduled_calls TO hsafa_app;
GRANT SELECT, UPDATE ON hsafa.scheduled_calls TO hsafa_system;

-- Takes what is due, of active tenants; of deliveries at most in_share of a tenant, and none of those in in_busy, so that one tenant's
-- slow systems hold nobody else's calls up. is_open: the call has no outcome yet.
CREATE FUNCTION hsafa.take_due_calls(in_limit integer, in_lease_seconds integer, in_share integer, in_busy uuid[])
    RETURNS TABLE (
        tenant_id uuid, slug text, run_id uuid, call_id uuid, kind text, attempts integer, is_open boolean, agent_name text,
        version_id uuid, deadline_at timestamptz)
    LANGUAGE sql SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
    WITH candidates AS (
        SELECT s.tenant_id, s.run_id, s.call_id, s.due_at, s.kind,
               row_number() OVER (PARTITION BY s.tenant_id, s.kind ORDER BY s.due_at) AS place
        FROM (
            SELECT d.* FROM hsafa.scheduled_calls d JOIN hsafa.tenants t USING (tenant_id)
            WHERE d.due_at <= clock_timestamp() AND t.status = 'active' AND (d.kind = 'timer' OR d.tenant_id <> ALL (in_busy))
            ORDER BY d.due_at LIMIT in_limit * 16
        ) s
    ), due AS (
        SELECT s.tenant_id, s.run_id, s.call_id
        FROM hsafa.scheduled_calls s JOIN candidates c USING (tenant_id, run_id, call_id)
        WHERE (c.kind = 'timer' OR c.place <= in_share) AND s.due_at <= clock_timestamp()
        ORDER BY c.due_at LIMIT in_limit
        FOR NO KEY UPDATE OF s SKIP LOCKED
    ), taken AS (
        UPDATE hsafa.scheduled_calls s SET due_at = clock_timestamp() + make_interval(secs => in_lease_seconds), attempts = s.attempts + 1
        FROM due WHERE s.tenant_id = due.tenant_id AND s.run_id = due.run_id AND s.call_id = due.call_id
        RETURNING s.*
    )
    SELECT k.tenant_id, t.slug, k.run_id, k.call_id, k.kind, k.attempts, c.finished_at IS NULL, r.agent_name, r.version_id, c.deadline_at
    FROM taken k
    JOIN hsafa.tenants t ON t.tenant_id = k.tenant_id
    JOIN hsafa.tool_calls c ON c.tenant_id = k.tenant_id AND c.run_id = k.run_id AND c.call_id = k.call_id
    JOIN hsafa.runs r ON r.tenant_id = k.tenant_id AND r.run_id = k.run_id
    $$;
ALTER FUNCTION hsafa.take_due_calls(integer, integer, integer, uuid[]) OWNER TO hsafa_system;
REVOKE EXECUTE ON FUNCTION hsafa.take_due_calls(integer, integer, integer, uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hsafa.take_due_calls(integer, integer, integer, uuid[]) TO hsafa_app;
