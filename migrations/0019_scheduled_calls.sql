-- Calls for which something is due at a time: a timer's result, or the next attempt to deliver a call to an external tool. A row is taken
-- by moving its time ahead, so that what a crash cuts off is taken again.
CREATE TABLE hsafa.scheduled_calls (
    tenant_id uuid NOT NULL,
    run_id uuid NOT NULL,
    call_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('timer', 'delivery')),
    -- 'infinity': a person is asked first.
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, run_id, call_id),
    FOREIGN KEY (tenant_id, run_id, call_id) REFERENCES hsafa.tool_calls
);
CALL hsafa.guard_tenant_table('scheduled_calls');
CREATE INDEX scheduled_calls_due ON hsafa.scheduled_calls (kind, due_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON hsafa.scheduled_calls TO hsafa_app;
GRANT SELECT, UPDATE ON hsafa.scheduled_calls TO hsafa_system;

-- Runs as its caller, in the statement that writes the events: what is due for calls from now on, and ('never') what no longer is.
CREATE FUNCTION hsafa.note_schedules(in_tenant uuid, in_run uuid, in_calls uuid[], in_kinds text[], in_dues text[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    DELETE FROM hsafa.scheduled_calls s USING unnest(in_calls, in_dues) AS d (call_id, due)
    WHERE s.tenant_id = in_tenant AND s.run_id = in_run AND s.call_id = d.call_id AND d.due = 'never';
    INSERT INTO hsafa.scheduled_calls (tenant_id, run_id, call_id, kind, due_at)
    SELECT in_tenant, in_run, d.call_id, d.kind, d.due::timestamptz
    FROM unnest(in_calls, in_kinds, in_dues) AS d (call_id, kind, due)
    WHERE d.due <> 'never'
    ON CONFLICT (tenant_id, run_id, call_id) DO UPDATE SET due_at = excluded.due_at;
END $$;
REVOKE EXECUTE ON FUNCTION hsafa.note_schedules(uuid, uuid, uuid[], text[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hsafa.note_schedules(uuid, uuid, uuid[], text[], text[]) TO hsafa_app;

-- Takes what is due of one kind, of active tenants: at most in_share of each, and nothing of those in in_except, so that one tenant's
-- thousands, or its slow systems, hold nobody else's up.
CREATE FUNCTION hsafa.take_due_calls(in_kind text, in_limit integer, in_share integer, in_lease_seconds integer, in_except uuid[])
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
        SELECT e.*, row_number() OVER (PARTITION BY e.tenant_id ORDER BY e.due_at) AS place FROM earliest e
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
ALTER FUNCTION hsafa.take_due_calls(text, integer, integer, integer, uuid[]) OWNER TO hsafa_system;
REVOKE EXECUTE ON FUNCTION hsafa.take_due_calls(text, integer, integer, integer, uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hsafa.take_due_calls(text, integer, integer, integer, uuid[]) TO hsafa_app;
