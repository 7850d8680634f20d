-- Runs that calls of other runs started. The child's row names the call, the call's row names the child: both are written in the statement
-- that writes `tool.call.dispatched`, so there is one child for a call, or none.
ALTER TABLE hsafa.runs
    ADD COLUMN parent_run_id uuid,
    ADD COLUMN parent_call_id uuid,
    -- The run at the top of the tree, which somebody started.
    ADD COLUMN root_run_id uuid,
    ADD COLUMN depth smallint NOT NULL DEFAULT 0,
    -- The call has got its outcome from this run, or had one before.
    ADD COLUMN parent_told boolean NOT NULL DEFAULT false,
    ADD CHECK ((parent_run_id IS NULL) = (parent_call_id IS NULL)),
    ADD CHECK ((parent_run_id IS NULL) = (root_run_id IS NULL)),
    ADD CHECK ((parent_run_id IS NULL) = (depth = 0)),
    ADD FOREIGN KEY (tenant_id, parent_run_id, parent_call_id) REFERENCES hsafa.tool_calls;
CREATE UNIQUE INDEX runs_of_parent ON hsafa.runs (tenant_id, parent_run_id, parent_call_id) WHERE parent_run_id IS NOT NULL;
CREATE INDEX runs_of_tree ON hsafa.runs (tenant_id, root_run_id) WHERE root_run_id IS NOT NULL;

ALTER TABLE hsafa.tool_calls
    ADD COLUMN child_run_id uuid,
    -- The run that the call started has ended, and the call has its outcome.
    ADD COLUMN child_settled boolean NOT NULL DEFAULT false;

-- What is left to do: an end that the call was not told, and a call that is over while its run goes on. A row enters its index by the
-- transition that ends it and leaves it when both are over, so that who waits costs a sweep nothing.
CREATE INDEX runs_untold ON hsafa.runs (finished_at)
    WHERE parent_run_id IS NOT NULL AND finished_at IS NOT NULL AND NOT parent_told;
CREATE INDEX tool_calls_unsettled ON hsafa.tool_calls (finished_at)
    WHERE child_run_id IS NOT NULL AND finished_at IS NOT NULL AND NOT child_settled;

-- Runs as its caller, in the statement that writes the parent's event: the child, its first event, the link back, and the row of the
-- audit log, whose actor is the agent that asked. The child's time is the call's. A tree that has in_most runs takes no more: HST01, and
-- nothing is written. Starts of one tree come one after the other, so that they count each other; who waits here holds its own run
-- and nothing that another of them asks for.
CREATE FUNCTION hsafa.start_child_run(
    in_tenant uuid, in_run uuid, in_call uuid, in_child uuid, in_agent uuid, in_agent_name text, in_version uuid, in_root uuid,
    in_depth integer, in_most integer, in_created text, in_ts timestamptz, in_audit uuid) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(in_root::text, 6803));
    IF (SELECT count(*) FROM hsafa.runs r WHERE r.tenant_id = in_tenant AND r.root_run_id = in_root) >= in_most THEN
        RAISE EXCEPTION 'the tree of run % is full', in_root USING ERRCODE = 'HST01';
    END IF;
    INSERT INTO hsafa.runs (tenant_id, run_id, agent_id, agent_name, version_id, status, parent_run_id, parent_call_id, root_run_id,
        depth, deadline_at)
    SELECT in_tenant, in_child, in_agent, in_agent_name, in_version, 'queued', in_run, in_call, in_root, in_depth, c.deadline_at
    FROM hsafa.tool_calls c WHERE c.tenant_id = in_tenant AND c.run_id = in_run AND c.call_id = in_call;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'run % has no call %', in_run, in_call;
    END IF;
    INSERT INTO hsafa.run_events (tenant_id, run_id, seq, type, data, ts, claim_number)
    VALUES (in_tenant, in_child, 1, 'run.created', in_created::json, in_ts, 0);
    UPDATE hsafa.tool_calls c SET status = 'dispatched', attempts = c.attempts + 1, child_run_id = in_child
    WHERE c.tenant_id = in_tenant AND c.run_id = in_run AND c.call_id = in_call;
    INSERT INTO hsafa.audit_log (tenant_id, audit_id, actor_kind, actor_id, action, target_kind, target_id, details)
    SELECT in_tenant, in_audit, 'agent', r.agent_id::text, 'run.start', 'run', in_child::text,
           jsonb_build_object('agentName', in_agent_name, 'parentRunId', in_run, 'parentCallId', in_call, 'parentAgentName', r.agent_name,
               'depth', in_depth)
    FROM hsafa.runs r WHERE r.tenant_id = in_tenant AND r.run_id = in_run;
END $$;
REVOKE EXECUTE ON FUNCTION
    hsafa.start_child_run(uuid, uuid, uuid, uuid, uuid, text, uuid, uuid, integer, integer, text, timestamptz, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    hsafa.start_child_run(uuid, uuid, uuid, uuid, uuid, text, uuid, uuid, integer, integer, text, timestamptz, uuid) TO hsafa_app;

-- Children whose ends, or whose calls' ends, nobody has acted on; who asks does so through transition_run.
CREATE FUNCTION hsafa.unsettled_children(in_limit integer)
    RETURNS TABLE (tenant_id uuid, slug text, run_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
    SELECT u.tenant_id, t.slug, u.run_id
    FROM (
        (SELECT r.tenant_id, r.run_id FROM hsafa.runs r
         WHERE r.parent_run_id IS NOT NULL AND r.finished_at IS NOT NULL AND NOT r.parent_told
         ORDER BY r.finished_at LIMIT in_limit)
        UNION
        (SELECT c.tenant_id, c.child_run_id FROM hsafa.tool_calls c
         WHERE c.child_run_id IS NOT NULL AND c.finished_at IS NOT NULL AND NOT c.child_settled
         ORDER BY c.finished_at LIMIT in_limit)) u
    JOIN hsafa.tenants t USING (tenant_id)
    $$;
REVOKE EXECUTE ON FUNCTION hsafa.unsettled_children(integer) FROM PUBLIC;
ALTER FUNCTION hsafa.unsettled_children(integer) OWNER TO hsafa_system;
GRANT EXECUTE ON FUNCTION hsafa.unsettled_children(integer) TO hsafa_app;
