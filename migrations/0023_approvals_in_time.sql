-- note_approvals as before, but a person's decision counts until expires_at and not a moment longer: whether a sweep has written the
-- expiry by then or not. The run's row is locked by the transition in the same statement, so the clock is asked after every wait.
CREATE OR REPLACE FUNCTION hsafa.note_approvals(
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
        -- Nothing of the statement stands: neither the event nor what it would have let go.
        IF EXISTS (
            SELECT FROM hsafa.approvals a JOIN unnest(settled_ids, settled_statuses) AS s (call_id, status) ON s.call_id = a.call_id
            WHERE a.tenant_id = in_tenant AND a.run_id = in_run AND a.status = 'pending' AND s.status IN ('approved', 'denied')
              AND a.expires_at <= clock_timestamp())
        THEN
            RAISE EXCEPTION 'the approval has expired' USING ERRCODE = 'HS410';
        END IF;
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
