-- Appends events that change nothing but the log (deltas, step.started): no lock, and a conflict is an empty answer.
-- Rows after the first go in only if the first did.
CREATE FUNCTION hsafa.append_events(
    in_tenant uuid, in_run uuid, in_after bigint, in_claim integer, in_types text[], in_data text[], in_ts timestamptz)
    RETURNS bigint
    LANGUAGE plpgsql SET search_path = hsafa, pg_temp
    AS $$
BEGIN
    INSERT INTO hsafa.run_events (tenant_id, run_id, seq, type, data, ts, claim_number)
    VALUES (in_tenant, in_run, in_after + 1, in_types[1], in_data[1]::json, in_ts, in_claim)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF cardinality(in_types) > 1 THEN
        INSERT INTO hsafa.run_events (tenant_id, run_id, seq, type, data, ts, claim_number)
        SELECT in_tenant, in_run, in_after + e.position, e.type, e.data::json, in_ts, in_claim
        FROM unnest(in_types, in_data) WITH ORDINALITY AS e (type, data, position)
        WHERE e.position > 1;
    END IF;
    RETURN in_after + cardinality(in_types);
END $$;

-- The one way to change a run: lock its row, check that nothing was written since the decision, write everything.
-- answer: applied; conflict (the log has moved on: read it and decide again); not_found; fenced (another claim holds the run);
-- past_deadline (a tool's result came after its call's deadline).
CREATE FUNCTION hsafa.transition_run(
    in_tenant uuid, in_run uuid, in_after bigint, in_claim integer, in_types text[], in_data text[], in_ts timestamptz,
    in_status text, in_resume_reason text, in_input_tokens bigint, in_output_tokens bigint, in_error_code text, in_error_message text,
    call_ids uuid[], call_provider_ids text[], call_tools text[], call_targets text[], call_args text[], call_selectors text[],
    call_seconds integer[],
    outcome_ids uuid[], outcome_statuses text[], outcome_sources text[], outcome_results text[], outcome_errors text[],
    dispatch_ids uuid[], dispatch_devices uuid[],
    OUT answer text, OUT last_seq bigint, OUT lease_owner uuid)
    LANGUAGE plpgsql SET search_path = hsafa, pg_temp
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
    last_seq := hsafa.append_events(in_tenant, in_run, in_after, coalesce(in_claim, 0), in_types, in_data, in_ts);
    IF last_seq IS NULL THEN
        answer := 'conflict';
        RETURN;
    END IF;
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

-- Claims queued runs, tenant by tenant from a rotating cursor, and runs whose worker let its lease run out.
-- A claim is an event, so that a stale worker's next append conflicts.
CREATE FUNCTION hsafa.claim_one_run(
    in_tenant uuid, in_run uuid, in_worker uuid, in_lease_seconds integer, in_reason text, OUT claimed integer, OUT seq bigint)
    LANGUAGE plpgsql SET search_path = hsafa, pg_temp
    AS $$
#variable_conflict use_column
DECLARE
    previous bigint;
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
        SELECT max(e.seq) INTO previous FROM hsafa.run_events e WHERE e.tenant_id = in_tenant AND e.run_id = in_run;
        seq := hsafa.append_events(in_tenant, in_run, previous, claimed, ARRAY[event_type], ARRAY[event_data],
            date_trunc('milliseconds', clock_timestamp()));
        EXIT WHEN seq IS NOT NULL;
    END LOOP;
    IF seq IS NULL THEN
        RAISE EXCEPTION 'the log of run % could not be fenced', in_run;
    END IF;
END $$;

CREATE FUNCTION hsafa.claim_runs(
    in_worker uuid, in_lease_seconds integer, in_limit integer, in_after_tenant uuid, in_default_concurrency integer)
    RETURNS TABLE (
        tenant_id uuid, slug text, run_id uuid, agent_id uuid, agent_name text, version_id uuid, claim_number integer, seq bigint,
        deadline_at timestamptz, last_tenant uuid)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
#variable_conflict use_column
DECLARE
    candidate record;
    claim record;
    tenant hsafa.tenants%ROWTYPE;
    cursor_tenant uuid := in_after_tenant;
    next_tenant uuid;
    wrapped boolean := false;
    remaining integer := in_limit;
    room integer;
    share integer := greatest(1, in_limit / 4);
BEGIN
    FOR candidate IN
        SELECT r.tenant_id, r.run_id, r.agent_id, r.agent_name, r.version_id, r.deadline_at, t.slug
        FROM hsafa.runs r JOIN hsafa.tenants t USING (tenant_id)
        WHERE r.status = 'running' AND r.lease_expires_at < clock_timestamp() AND t.status = 'active'
        ORDER BY r.lease_expires_at LIMIT remaining
        FOR NO KEY UPDATE OF r SKIP LOCKED
    LOOP
        claim := hsafa.claim_one_run(candidate.tenant_id, candidate.run_id, in_worker, in_lease_seconds, 'recovered');
        remaining := remaining - 1;
        RETURN QUERY SELECT candidate.tenant_id, candidate.slug, candidate.run_id, candidate.agent_id, candidate.agent_name,
            candidate.version_id, claim.claimed, claim.seq, candidate.deadline_at, cursor_tenant;
    END LOOP;
    -- A loose scan: one probe of the index for each tenant that has queued runs, at most one round and 1,000 tenants a call.
    FOR probe IN 1..1000 LOOP
        EXIT WHEN remaining <= 0;
        SELECT r.tenant_id INTO next_tenant FROM hsafa.runs r
        WHERE r.status = 'queued' AND r.tenant_id > cursor_tenant ORDER BY r.tenant_id LIMIT 1;
        IF NOT FOUND THEN
            EXIT WHEN wrapped;
            wrapped := true;
            SELECT r.tenant_id INTO next_tenant FROM hsafa.runs r WHERE r.status = 'queued' ORDER BY r.tenant_id LIMIT 1;
            EXIT WHEN NOT FOUND;
        END IF;
        -- By the id where the round began: the tenant that stood first may have nothing queued any more.
        EXIT WHEN wrapped AND next_tenant > in_after_tenant;
        cursor_tenant := next_tenant;
        SELECT * INTO tenant FROM hsafa.tenants t WHERE t.tenant_id = next_tenant;
        CONTINUE WHEN tenant.status <> 'active';
        SELECT coalesce(tenant.max_concurrent_runs, in_default_concurrency) - count(*) INTO room
        FROM hsafa.runs r WHERE r.tenant_id = next_tenant AND r.status = 'running';
        CONTINUE WHEN room <= 0;
        FOR candidate IN
            SELECT r.run_id, r.agent_id, r.agent_name, r.version_id, r.deadline_at, r.resume_reason
            FROM hsafa.runs r
            WHERE r.tenant_id = next_tenant AND r.status = 'queued'
            ORDER BY r.queued_at LIMIT least(room, remaining, share)
            FOR NO KEY UPDATE SKIP LOCKED
        LOOP
            claim := hsafa.claim_one_run(next_tenant, candidate.run_id, in_worker, in_lease_seconds, candidate.resume_reason);
            remaining := remaining - 1;
            RETURN QUERY SELECT next_tenant, tenant.slug, candidate.run_id, candidate.agent_id, candidate.agent_name,
                candidate.version_id, claim.claimed, claim.seq, candidate.deadline_at, cursor_tenant;
        END LOOP;
    END LOOP;
END $$;

-- Renews the leases of one worker; what it does not return is no longer the worker's. Tells of cancels and suspensions, too.
CREATE FUNCTION hsafa.renew_leases(in_worker uuid, in_lease_seconds integer, tenants uuid[], run_ids uuid[], claims integer[])
    RETURNS TABLE (run_id uuid, last_seq bigint, tenant_status text)
    LANGUAGE sql SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
    WITH renewed AS (
        UPDATE hsafa.runs r SET lease_expires_at = clock_timestamp() + make_interval(secs => in_lease_seconds)
        FROM unnest(tenants, run_ids, claims) AS w (tenant_id, run_id, claim_number)
        WHERE r.tenant_id = w.tenant_id AND r.run_id = w.run_id AND r.claim_number = w.claim_number
          AND r.status = 'running' AND r.lease_owner = in_worker
        RETURNING r.tenant_id, r.run_id
    )
    SELECT renewed.run_id,
           (SELECT max(e.seq) FROM hsafa.run_events e WHERE e.tenant_id = renewed.tenant_id AND e.run_id = renewed.run_id),
           t.status
    FROM renewed JOIN hsafa.tenants t USING (tenant_id)
    $$;

-- The last seq of many runs, for feeds that heard nothing for a while.
CREATE FUNCTION hsafa.last_seqs(tenants uuid[], run_ids uuid[])
    RETURNS TABLE (run_id uuid, last_seq bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
    SELECT w.run_id,
           (SELECT max(e.seq) FROM hsafa.run_events e WHERE e.tenant_id = w.tenant_id AND e.run_id = w.run_id)
    FROM unnest(tenants, run_ids) AS w (tenant_id, run_id)
    $$;

-- Runs and calls whose time is over; who asks writes it down through transition_run.
CREATE FUNCTION hsafa.overdue_runs(in_limit integer)
    RETURNS TABLE (tenant_id uuid, slug text, run_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
    SELECT r.tenant_id, t.slug, r.run_id FROM hsafa.runs r JOIN hsafa.tenants t USING (tenant_id)
    WHERE r.finished_at IS NULL AND r.deadline_at <= now() ORDER BY r.deadline_at LIMIT in_limit
    $$;

CREATE FUNCTION hsafa.overdue_calls(in_limit integer)
    RETURNS TABLE (tenant_id uuid, slug text, run_id uuid, call_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
    SELECT c.tenant_id, t.slug, c.run_id, c.call_id FROM hsafa.tool_calls c JOIN hsafa.tenants t USING (tenant_id)
    WHERE c.finished_at IS NULL AND c.deadline_at <= now() ORDER BY c.deadline_at LIMIT in_limit
    $$;

DO $$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY[
        'hsafa.append_events(uuid, uuid, bigint, integer, text[], text[], timestamptz)',
        'hsafa.claim_one_run(uuid, uuid, uuid, integer, text)',
        'hsafa.claim_runs(uuid, integer, integer, uuid, integer)',
        'hsafa.renew_leases(uuid, integer, uuid[], uuid[], integer[])',
        'hsafa.last_seqs(uuid[], uuid[])',
        'hsafa.overdue_runs(integer)',
        'hsafa.overdue_calls(integer)']
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', signature);
    END LOOP;
    FOREACH signature IN ARRAY ARRAY[
        'hsafa.claim_one_run(uuid, uuid, uuid, integer, text)',
        'hsafa.claim_runs(uuid, integer, integer, uuid, integer)',
        'hsafa.renew_leases(uuid, integer, uuid[], uuid[], integer[])',
        'hsafa.last_seqs(uuid[], uuid[])',
        'hsafa.overdue_runs(integer)',
        'hsafa.overdue_calls(integer)']
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO hsafa_system', signature);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO hsafa_app', signature);
    END LOOP;
END $$;
-- claim_one_run is called by claim_runs alone, as hsafa_system; transition_run and append_events run as their caller, behind its walls.
REVOKE EXECUTE ON FUNCTION hsafa.claim_one_run(uuid, uuid, uuid, integer, text) FROM hsafa_app;
GRANT EXECUTE ON FUNCTION hsafa.append_events(uuid, uuid, bigint, integer, text[], text[], timestamptz) TO hsafa_app, hsafa_system;
