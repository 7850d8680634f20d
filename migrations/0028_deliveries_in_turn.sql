-- take_due_calls as before, but a tenant's share counts what the process that asks has under way for it already (in_busy, in_under_way).
DROP FUNCTION hsafa.take_due_calls(text, integer, integer, integer, uuid[]);
CREATE FUNCTION hsafa.take_due_calls(
    in_kind text, in_limit integer, in_share integer, in_lease_seconds integer, in_except uuid[], in_busy uuid[], in_under_way integer[])
    RETURNS TABLE (
        tenant_id uuid, slug text, run_id uuid, call_id uuid, attempts integer, agent_name text, version_id uuid, deadline_at timestamptz)
    LANGUAGE sql SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
    WITH earliest AS (
        SELECT s.tenant_id, s.run_id, s.call_id, s.due_at
        FROM hsafa.scheduled_calls s JOIN hsafa.tenants t USING (tenant_id)
        WHERE s.kind = in_kind AND s.due_at <= clock_timestamp() AND t.status = 'active' AND s.tenant_id <> ALL (in_except)
        ORDER BY s.due_at LIMIT in_limit * 16
    ), candidates AS (
        SELECT e.*, row_number() OVER (PARTITION BY e.tenant_id ORDER BY e.due_at) + coalesce(b.under_way, 0) AS place
        FROM earliest e LEFT JOIN unnest(in_busy, in_under_way) AS b (tenant_id, under_way) USING (tenant_id)
    ), due AS (
        SELECT s.tenant_id, s.run_id, s.call_id
        FROM hsafa.scheduled_calls s JOIN candidates c USING (tenant_id, run_id, call_id)
        WHERE c.place <= in_share AND s.due_at <= clock_timestamp()
        ORDER BY c.due_at LIMIT in_limit
        FOR NO KEY UPDATE OF s SKIP LOCKED
    ), taken AS (
        UPDATE hsafa.scheduled_calls s SET due_at = clock_timestamp() + make_interval(secs => in_lease_seconds), attempts = s.attempts + 1
        FROM due WHERE s.tenant_id = due.tenant_id AND s.run_id = due.run_id AND s.call_id = due.call_id
        RETURNING s.tenant_id, s.run_id, s.call_id, s.attempts
    )
    SELECT k.tenant_id, t.slug, k.run_id, k.call_id, k.attempts, r.agent_name, r.version_id, c.deadline_at
    FROM taken k
    JOIN hsafa.tenants t ON t.tenant_id = k.tenant_id
    JOIN hsafa.tool_calls c ON c.tenant_id = k.tenant_id AND c.run_id = k.run_id AND c.call_id = k.call_id
    JOIN hsafa.runs r ON r.tenant_id = k.tenant_id AND r.run_id = k.run_id
    $$;
ALTER FUNCTION hsafa.take_due_calls(text, integer, integer, integer, uuid[], uuid[], integer[]) OWNER TO hsafa_system;
REVOKE EXECUTE ON FUNCTION hsafa.take_due_calls(text, integer, integer, integer, uuid[], uuid[], integer[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hsafa.take_due_calls(text, integer, integer, integer, uuid[], uuid[], integer[]) TO hsafa_app;
