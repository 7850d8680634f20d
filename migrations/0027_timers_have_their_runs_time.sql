-- note_schedules as before, but a timer that was set has its run's time: how long it waits was judged against the call's own time-out when it
-- was set, so from then on it fires, however late somebody gets to it, unless the run ends first.
CREATE OR REPLACE FUNCTION hsafa.note_schedules(in_tenant uuid, in_run uuid, in_calls uuid[], in_kinds text[], in_dues text[]) RETURNS void
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
    IF 'timer' = ANY (in_kinds) THEN
        -- A call whose time was over before anybody came to it stays so.
        UPDATE hsafa.tool_calls c SET deadline_at = r.deadline_at
        FROM unnest(in_calls, in_kinds, in_dues) AS d (call_id, kind, due), hsafa.runs r
        WHERE c.tenant_id = in_tenant AND c.run_id = in_run AND c.call_id = d.call_id AND d.kind = 'timer' AND d.due <> 'never'
          AND r.tenant_id = in_tenant AND r.run_id = in_run AND c.deadline_at > clock_timestamp();
    END IF;
END $$;
