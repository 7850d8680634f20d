-- What a tenant may use, and what it has used.

-- Overrides of the gateway's defaults, as `TenantLimitOverrides` writes them: {"requestsPerSecond": 50, …}.
ALTER TABLE hsafa.tenants ADD COLUMN limits jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(limits) = 'object');
-- The owner stands behind the tenants' walls as well.
SET LOCAL ROLE hsafa_system;
UPDATE hsafa.tenants SET limits = jsonb_build_object('concurrentRuns', max_concurrent_runs) WHERE max_concurrent_runs IS NOT NULL;
RESET ROLE;
-- One truth: what claim_runs reads is derived from the overrides.
ALTER TABLE hsafa.tenants DROP COLUMN max_concurrent_runs;
ALTER TABLE hsafa.tenants ADD COLUMN max_concurrent_runs integer
    GENERATED ALWAYS AS ((limits ->> 'concurrentRuns')::integer) STORED CHECK (max_concurrent_runs > 0);

-- Merges: null takes an override away, what is absent stays. NULL when there is no such tenant.
CREATE FUNCTION hsafa.set_tenant_limits(wanted uuid, patch jsonb) RETURNS jsonb
    LANGUAGE sql SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
    UPDATE hsafa.tenants t SET limits = jsonb_strip_nulls(t.limits || patch) WHERE t.tenant_id = wanted RETURNING t.limits
    $$;

-- For the machine (`hsafa-gateway tenants limits`), by the owner's connection.
CREATE FUNCTION hsafa.tenant_limits_by_slug(wanted_slug text) RETURNS TABLE (tenant_id uuid, limits jsonb)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$ SELECT t.tenant_id, t.limits FROM hsafa.tenants t WHERE t.slug = wanted_slug $$;

-- Tokens by day (UTC) and model, written in the transaction of the `assistant.message` that tells of them.
CREATE TABLE hsafa.usage_daily (
    tenant_id uuid NOT NULL REFERENCES hsafa.tenants,
    day date NOT NULL,
    -- `provider/name`
    model text NOT NULL,
    -- A run adds to one row of 64: runs of a tenant that end a step at once must not wait for each other's commit.
    stripe smallint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    model_calls bigint NOT NULL,
    PRIMARY KEY (tenant_id, day, model, stripe)
) WITH (fillfactor = 50);
CALL hsafa.guard_tenant_table('usage_daily');
GRANT SELECT, INSERT, UPDATE ON hsafa.usage_daily TO hsafa_app;

-- verdict: created, name_taken, limit_reached.
CREATE FUNCTION hsafa.insert_agent(
    in_tenant uuid, in_agent uuid, in_name text, in_description text, in_limit integer, OUT verdict text, OUT made_at timestamptz)
    LANGUAGE plpgsql SET search_path = hsafa, pg_temp
    AS $$
BEGIN
    -- One after the other within a tenant: the count is a statement of its own, so its snapshot is taken behind the lock.
    PERFORM pg_advisory_xact_lock(hashtextextended(in_tenant::text, 6801));
    INSERT INTO hsafa.agents (tenant_id, agent_id, name, description)
    SELECT in_tenant, in_agent, in_name, in_description
    WHERE (SELECT count(*) FROM hsafa.agents a WHERE a.tenant_id = in_tenant AND a.deleted_at IS NULL) < in_limit
    ON CONFLICT (tenant_id, name) WHERE deleted_at IS NULL DO NOTHING
    RETURNING created_at INTO made_at;
    IF FOUND THEN
        verdict := 'created';
    ELSIF EXISTS (SELECT FROM hsafa.agents a WHERE a.tenant_id = in_tenant AND a.name = in_name AND a.deleted_at IS NULL) THEN
        verdict := 'name_taken';
    ELSE
        verdict := 'limit_reached';
    END IF;
END $$;

-- As in 0005, and: a tenant is claimed for by one worker at a time, so that its bound on running runs is exact; a worker may pass
-- over tenants that hold much of it; runs whose lease ran out leave a quarter of the round to the queue.
DROP FUNCTION hsafa.claim_runs(uuid, integer, integer, uuid, integer);
CREATE FUNCTION hsafa.claim_runs(
    in_worker uuid, in_lease_seconds integer, in_limit integer, in_after_tenant uuid, in_default_concurrency integer,
    in_passed_over uuid[] DEFAULT '{}')
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
    share integer;
BEGIN
    FOR candidate IN
        SELECT r.tenant_id, r.run_id, r.agent_id, r.agent_name, r.version_id, r.deadline_at, t.slug
        FROM hsafa.runs r JOIN hsafa.tenants t USING (tenant_id)
        WHERE r.status = 'running' AND r.lease_expires_at < clock_timestamp() AND t.status = 'active'
        ORDER BY r.lease_expires_at LIMIT greatest(1, in_limit * 3 / 4)
        FOR NO KEY UPDATE OF r SKIP LOCKED
    LOOP
        claim := hsafa.claim_one_run(candidate.tenant_id, candidate.run_id, in_worker, in_lease_seconds, 'recovered');
        remaining := remaining - 1;
        RETURN QUERY SELECT candidate.tenant_id, candidate.slug, candidate.run_id, candidate.agent_id, candidate.agent_name,
            candidate.version_id, claim.claimed, claim.seq, candidate.deadline_at, cursor_tenant;
    END LOOP;
    share := greatest(1, remaining / 4);
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
        CONTINUE WHEN next_tenant = ANY (in_passed_over);
        SELECT * INTO tenant FROM hsafa.tenants t WHERE t.tenant_id = next_tenant;
        CONTINUE WHEN tenant.status <> 'active';
        -- Who finds it taken passes on, so two claimers never wait for each other; what is left is there at the next round.
        CONTINUE WHEN NOT pg_try_advisory_xact_lock(hashtextextended(next_tenant::text, 6802));
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

DO $$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY[
        'hsafa.set_tenant_limits(uuid, jsonb)',
        'hsafa.tenant_limits_by_slug(text)',
        'hsafa.claim_runs(uuid, integer, integer, uuid, integer, uuid[])']
    LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO hsafa_system', signature);
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', signature);
    END LOOP;
    FOREACH signature IN ARRAY ARRAY['hsafa.set_tenant_limits(uuid, jsonb)', 'hsafa.tenant_limits_by_slug(text)'] LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', signature, current_user);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION hsafa.set_tenant_limits(uuid, jsonb) TO hsafa_app;
GRANT EXECUTE ON FUNCTION hsafa.claim_runs(uuid, integer, integer, uuid, integer, uuid[]) TO hsafa_app;
REVOKE EXECUTE ON FUNCTION hsafa.insert_agent(uuid, uuid, text, text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hsafa.insert_agent(uuid, uuid, text, text, integer) TO hsafa_app;
