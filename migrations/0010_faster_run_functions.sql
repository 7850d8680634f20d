-- transition_run and claim_one_run as before, but each with INSERTs of its own. The plan of a statement under row-level security belongs
-- to a role: append_events was called by the application's role in one and by hsafa_system in the other, so that each call threw away the
-- plan of the one before. And neither sets search_path any more, which costs a call more than its look-ups: everything in them is qualified,
-- neither is SECURITY DEFINER, and claim_runs, which calls claim_one_run as hsafa_system, has pinned it. append_events stays for processes of
-- the version before.
-- The one way to change a run: lock its row, check that nothing was written since the decision, write everything.
-- answer: applied; conflict (the log has moved on: read it and decide again); not_found; fenced (another claim holds the run);
-- past_deadline (a tool's result came after its call's deadline).
CREATE OR REPLACE FUNCTION hsafa.transition_run(
    in_tenant uuid, in_run uuid, in_after bigint, in_claim integer, in_types text[], in_data text[], in_ts timestamptz,
    in_status text, in_resume_reason text, in_input_tokens bigint, in_output_tokens bigint, in_error_code text, in_error_message text,
    call_ids uuid[], call_provider_ids text[], call_tools text[], call_targets text[], call_args text[], call_selectors text[],
    call_seconds integer[],
    outcome_ids uuid[], outcome_statuses text[], outcome_sources text[], outcome_results text[], outcome_errors text[],
    dispatch_ids uuid[], dispatch_devices uuid[],
    OUT answer text, OUT last_seq bigint, OUT lease_owner uuid)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    run hsafa.runs%ROWTYPE;
    late integer;
BEGIN
    SELECT * INTO run FROM hsafa.runs r WHERE r.tenant_id = in_tenant AND r.run_id = in_run FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        answer := 'not_found';
        RETURN;
    END IF;
    lease_owner := run.lease_owner;
    IF in_claim IS NOT NULL AND (run.status <> 'running' OR run.claim_number <> in_claim) THEN
        answer := 'fenced';
        RETURN;
    END IF;
    IF cardinality(outcome_ids) > 0 THEN
        SELECT count(*) INTO late
        FROM unnest(outcome_ids, outcome_sources) AS o (call_id, source)
        JOIN hsafa.tool_calls c ON c.tenant_id = in_tenant AND c.run_id = in_run AND c.call_id = o.call_id
        WHERE o.source <> 'gateway' AND c.deadline_at <= clock_timestamp();
        IF late > 0 THEN
            answer := 'past_deadline';
            RETURN;
        END IF;
    END IF;
    INSERT INTO hsafa.run_events (tenant_id, run_id, seq, type, data, ts, claim_number)
    VALUES (in_tenant, in_run, in_after + 1, in_types[1], in_data[1]::json, in_ts, coalesce(in_claim, 0))
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        answer := 'conflict';
        RETURN;
    END IF;
    IF cardinality(in_types) > 1 THEN
        INSERT INTO hsafa.run_events (tenant_id, run_id, seq, type, data, ts, claim_number)
        SELECT in_tenant, in_run, in_after + e.position, e.type, e.data::json, in_ts, coalesce(in_claim, 0)
        FROM unnest(in_types, in_data) WITH ORDINALITY AS e (type, data, position)
        WHERE e.position > 1;
    END IF;
    last_seq := in_after + cardinality(in_types);
    IF cardinality(call_ids) > 0 THEN
        INSERT INTO hsafa.tool_calls (tenant_id, run_id, call_id, provider_call_id, tool, target, args, device_selector, status, deadline_at)
        SELECT in_tenant, in_run, c.call_id, c.provider_id, c.tool, c.target, c.args::json, c.selector::jsonb, 'requested',
               least(now() + make_interval(secs => c.seconds), run.deadline_at)
        FROM unnest(call_ids, call_provider_ids, call_tools, call_targets, call_args, call_selectors, call_seconds)
            AS c (call_id, provider_id, tool, target, args, selector, seconds);
    END IF;
    IF cardinality(outcome_ids) > 0 THEN
        INSERT INTO hsafa.tool_results (tenant_id, run_id, call_id, source, status, result, error)
        SELECT in_tenant, in_run, o.call_id, o.source, o.status, o.result::json, o.error::json
        FROM unnest(outcome_ids, outcome_sources, outcome_statuses, outcome_results, outcome_errors)
            AS o (call_id, source, status, result, error);
        UPDATE hsafa.tool_calls c SET status = o.status, finished_at = now()
        FROM unnest(outcome_ids, outcome_statuses) AS o (call_id, status)
        WHERE c.tenant_id = in_tenant AND c.run_id = in_run AND c.call_id = o.call_id;
    END IF;
    IF cardinality(dispatch_ids) > 0 THEN
        UPDATE hsafa.tool_calls c SET status = 'dispatched', device_id = d.device_id, attempts = c.attempts + 1
        FROM unnest(dispatch_ids, dispatch_devices) AS d (call_id, device_id)
        WHERE c.tenant_id = in_tenant AND c.run_id = in_run AND c.call_id = d.call_id;
    END IF;
    IF in_status IS NOT NULL OR in_input_tokens IS NOT NULL THEN
        UPDATE hsafa.runs r SET
            status = coalesce(in_status, r.status),
            resume_reason = in_resume_reason,
            queued_at = CASE WHEN in_status = 'queued' THEN clock_timestamp() ELSE r.queued_at END,
            finished_at = CASE WHEN in_status IN ('completed', 'failed', 'canceled') THEN now() END,
            lease_owner = CASE WHEN coalesce(in_status, r.status) = 'running' THEN r.lease_owner END,
            lease_expires_at = CASE WHEN coalesce(in_status, r.status) = 'running' THEN r.lease_expires_at END,
            input_tokens = coalesce(in_input_tokens, r.input_tokens),
            output_tokens = coalesce(in_output_tokens, r.output_tokens),
            error_code = in_error_code,
            error_message = in_error_message
        WHERE r.tenant_id = in_tenant AND r.run_id = in_run;
    END IF;
    answer := 'applied';
END $$;

-- A claim is an event, so that a stale worker's next append conflicts.
CREATE OR REPLACE FUNCTION hsafa.claim_one_run(
    in_tenant uuid, in_run uuid, in_worker uuid, in_lease_seconds integer, in_reason text, OUT claimed integer, OUT seq bigint)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    event_type text;
    event_data text;
BEGIN
    UPDATE hsafa.runs r SET
        status = 'running', lease_owner = in_worker, lease_expires_at = clock_timestamp() + make_interval(secs => in_lease_seconds),
        claim_number = r.claim_number + 1, started_at = coalesce(r.started_at, now()), resume_reason = NULL
    WHERE r.tenant_id = in_tenant AND r.run_id = in_run
    RETURNING r.claim_number INTO claimed;
    event_type := CASE WHEN claimed = 1 THEN 'run.started' ELSE 'run.resumed' END;
    event_data := CASE WHEN claimed = 1 THEN '{"claimNumber":1}'
        ELSE '{"reason":"' || coalesce(in_reason, 'recovered') || '","claimNumber":' || claimed || '}' END;
    -- A worker that lost its lease may be appending at this very moment: then the next seq is tried.
    FOR attempt IN 1..100 LOOP
        INSERT INTO hsafa.run_events AS written (tenant_id, run_id, seq, type, data, ts, claim_number)
        SELECT in_tenant, in_run, e.seq + 1, event_type, event_data::json, date_trunc('milliseconds', clock_timestamp()), claimed
        FROM hsafa.run_events e WHERE e.tenant_id = in_tenant AND e.run_id = in_run ORDER BY e.seq DESC LIMIT 1
        ON CONFLICT DO NOTHING
        RETURNING written.seq INTO seq;
        EXIT WHEN seq IS NOT NULL;
    END LOOP;
    IF seq IS NULL THEN
        RAISE EXCEPTION 'the log of run % could not be fenced', in_run;
    END IF;
END $$;
