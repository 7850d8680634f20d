-- People who decide about calls, and the gate's decisions in the audit log.

-- An approval is of one call of the log, bound to the hash of exactly that call.
CREATE TABLE hsafa.approvals (
    tenant_id uuid NOT NULL,
    run_id uuid NOT NULL,
    call_id uuid NOT NULL,
    -- A projection of the run's events, written with the event that changes it.
    status text NOT NULL CHECK (status IN ('pending', 'approved', 'denied', 'expired', 'canceled')),
    call_hash text NOT NULL,
    rules jsonb NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    decided_at timestamptz,
    PRIMARY KEY (tenant_id, run_id, call_id),
    FOREIGN KEY (tenant_id, run_id, call_id) REFERENCES hsafa.tool_calls,
    CHECK ((status = 'pending') = (decided_at IS NULL))
);
CREATE INDEX approvals_by_call ON hsafa.approvals (tenant_id, call_id);
CREATE INDEX approvals_pending ON hsafa.approvals (tenant_id, call_id) WHERE status = 'pending';
CALL hsafa.guard_tenant_table('approvals');
GRANT SELECT, INSERT, UPDATE ON hsafa.approvals TO hsafa_app;

-- What was asked, of whom, with which arguments, never changes: an approval is good for nothing else. The trigger fires only for
-- statements that name one of these columns, so the others pay nothing.
CREATE FUNCTION hsafa.refuse_call_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = hsafa, pg_temp
    AS $$
BEGIN
    RAISE EXCEPTION 'a call never changes what was asked' USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER refuse_call_change BEFORE UPDATE OF tenant_id, run_id, call_id, tool, target, args, device_selector ON hsafa.tool_calls
    FOR EACH ROW EXECUTE FUNCTION hsafa.refuse_call_change();

-- Runs as its caller, in the statement that writes the events: calls that wait for a person, and those that no longer do.
CREATE FUNCTION hsafa.note_approvals(
    in_tenant uuid, in_run uuid, held_ids uuid[], held_hashes text[], held_seconds integer[], held_rules text[],
    settled_ids uuid[], settled_statuses text[], settled_seconds integer[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    run_deadline timestamptz;
BEGIN
    SELECT r.deadline_at INTO run_deadline FROM hsafa.runs r WHERE r.tenant_id = in_tenant AND r.run_id = in_run;
    IF cardinality(held_ids) > 0 THEN
        INSERT INTO hsafa.approvals (tenant_id, run_id, call_id, status, call_hash, rules, expires_at)
        SELECT in_tenant, in_run, h.call_id, 'pending', h.call_hash, h.rules::jsonb,
               least(now() + make_interval(secs => h.seconds), run_deadline)
        FROM unnest(held_ids, held_hashes, held_seconds, held_rules) AS h (call_id, call_hash, seconds, rules);
        UPDATE hsafa.tool_calls c SET status = 'awaiting_approval',
            deadline_at = least(now() + make_interval(secs => h.seconds), run_deadline)
        FROM unnest(held_ids, held_seconds) AS h (call_id, seconds)
        WHERE c.tenant_id = in_tenant AND c.run_id = in_run AND c.call_id = h.call_id;
    END IF;
    IF cardinality(settled_ids) > 0 THEN
        UPDATE hsafa.approvals a SET status = s.status, decided_at = clock_timestamp()
        FROM unnest(settled_ids, settled_statuses) AS s (call_id, status)
        WHERE a.tenant_id = in_tenant AND a.run_id = in_run AND a.call_id = s.call_id AND a.status = 'pending';
        -- The tool's own time begins now.
        UPDATE hsafa.tool_calls c SET status = 'requested',
            deadline_at = least(now() + make_interval(secs => s.seconds), run_deadline)
        FROM unnest(settled_ids, settled_statuses, settled_seconds) AS s (call_id, status, seconds)
        WHERE c.tenant_id = in_tenant AND c.run_id = in_run AND c.call_id = s.call_id AND s.status = 'approved'
          AND c.status = 'awaiting_approval';
    END IF;
END $$;
REVOKE EXECUTE ON FUNCTION
    hsafa.note_approvals(uuid, uuid, uuid[], text[], integer[], text[], uuid[], text[], integer[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    hsafa.note_approvals(uuid, uuid, uuid[], text[], integer[], text[], uuid[], text[], integer[]) TO hsafa_app;

-- What the gate decided about calls, in the statement that writes their events.
ALTER TABLE hsafa.audit_log DROP CONSTRAINT audit_log_actor_kind_check;
ALTER TABLE hsafa.audit_log ADD CONSTRAINT audit_log_actor_kind_check
    CHECK (actor_kind IN ('key', 'admin', 'enrollment_token', 'operator', 'agent', 'run_token'));

CREATE FUNCTION hsafa.note_decisions(in_tenant uuid, in_run uuid, in_ids uuid[], in_calls text[], in_details text[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO hsafa.audit_log (tenant_id, audit_id, actor_kind, actor_id, action, target_kind, target_id, details)
    SELECT in_tenant, d.audit_id, 'agent', r.agent_id::text, 'tool_call.decide', 'tool_call', d.call_id,
           d.details::jsonb || jsonb_build_object('runId', in_run, 'agentName', r.agent_name)
    FROM unnest(in_ids, in_calls, in_details) AS d (audit_id, call_id, details)
    JOIN hsafa.runs r ON r.tenant_id = in_tenant AND r.run_id = in_run;
END $$;
REVOKE EXECUTE ON FUNCTION hsafa.note_decisions(uuid, uuid, uuid[], text[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hsafa.note_decisions(uuid, uuid, uuid[], text[], text[]) TO hsafa_app;
