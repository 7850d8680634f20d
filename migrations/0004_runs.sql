CREATE TABLE hsafa.runs (
    tenant_id uuid NOT NULL REFERENCES hsafa.tenants,
    run_id uuid NOT NULL,
    agent_id uuid NOT NULL,
    agent_name text NOT NULL,
    version_id uuid NOT NULL,
    previous_run_id uuid,
    -- From here on a projection of run_events, written with the event that changes it.
    status text NOT NULL CHECK (status IN ('queued', 'running', 'waiting_tool', 'completed', 'failed', 'canceled')),
    resume_reason text,
    lease_owner uuid,
    lease_expires_at timestamptz,
    claim_number integer NOT NULL DEFAULT 0,
    input_tokens bigint NOT NULL DEFAULT 0,
    output_tokens bigint NOT NULL DEFAULT 0,
    error_code text,
    error_message text,
    metadata jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Since when it waits for a worker.
    queued_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at timestamptz,
    finished_at timestamptz,
    deadline_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, run_id),
    FOREIGN KEY (tenant_id, agent_id) REFERENCES hsafa.agents,
    FOREIGN KEY (tenant_id, version_id) REFERENCES hsafa.agent_versions (tenant_id, version_id),
    CHECK ((status = 'running') = (lease_owner IS NOT NULL)),
    CHECK ((status IN ('completed', 'failed', 'canceled')) = (finished_at IS NOT NULL))
) WITH (fillfactor = 80);
CREATE INDEX runs_queued ON hsafa.runs (tenant_id, queued_at) WHERE status = 'queued';
CREATE INDEX runs_running ON hsafa.runs (tenant_id) WHERE status = 'running';
CREATE INDEX runs_leases ON hsafa.runs (lease_expires_at) WHERE status = 'running';
CREATE INDEX runs_deadlines ON hsafa.runs (deadline_at) WHERE finished_at IS NULL;
CREATE INDEX runs_by_agent ON hsafa.runs (tenant_id, agent_id, run_id DESC);
CALL hsafa.guard_tenant_table('runs');
GRANT SELECT, INSERT, UPDATE ON hsafa.runs TO hsafa_app, hsafa_system;

-- The log. No foreign key and no counter: a delta costs one INSERT.
CREATE TABLE hsafa.run_events (
    tenant_id uuid NOT NULL,
    run_id uuid NOT NULL,
    seq bigint NOT NULL CHECK (seq > 0),
    type text NOT NULL,
    -- json, not jsonb: the text stays byte for byte, so that replayed frames equal the live ones.
    data json NOT NULL,
    ts timestamptz NOT NULL,
    claim_number integer NOT NULL,
    PRIMARY KEY (tenant_id, run_id, seq)
) PARTITION BY RANGE (run_id);
-- Folding reads a log without its deltas.
CREATE INDEX run_events_fold ON hsafa.run_events (tenant_id, run_id, seq)
    WHERE type NOT IN ('assistant.delta', 'reasoning.delta');
CALL hsafa.guard_tenant_table('run_events');
GRANT SELECT, INSERT ON hsafa.run_events TO hsafa_app, hsafa_system;
CREATE TABLE hsafa.run_events_default PARTITION OF hsafa.run_events DEFAULT;

-- The lowest UUIDv7 of a moment.
CREATE FUNCTION hsafa.uuid_at(moment timestamptz) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid;

-- Makes the partitions of this month and the next three; run at migration and once a day by a gateway.
CREATE FUNCTION hsafa.ensure_run_event_partitions() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
DECLARE
    month_start timestamptz;
    partition_name text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('hsafa.ensure_run_event_partitions'));
    FOR ahead IN 0..3 LOOP
        month_start := (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => ahead)) AT TIME ZONE 'UTC';
        partition_name := 'run_events_' || to_char(month_start AT TIME ZONE 'UTC', 'YYYY_MM');
        IF to_regclass('hsafa.' || partition_name) IS NULL THEN
            EXECUTE format('CREATE TABLE hsafa.%I PARTITION OF hsafa.run_events FOR VALUES FROM (%L) TO (%L)', partition_name,
                hsafa.uuid_at(month_start),
                hsafa.uuid_at((month_start AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC'));
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$;
REVOKE EXECUTE ON FUNCTION hsafa.ensure_run_event_partitions() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hsafa.ensure_run_event_partitions() TO hsafa_app;
SELECT hsafa.ensure_run_event_partitions();

-- The outbox: calls that wait for a target.
CREATE TABLE hsafa.tool_calls (
    tenant_id uuid NOT NULL,
    run_id uuid NOT NULL,
    call_id uuid NOT NULL,
    provider_call_id text NOT NULL,
    tool text NOT NULL,
    target text NOT NULL CHECK (target IN ('server', 'device', 'browser', 'external')),
    args json NOT NULL,
    device_selector jsonb,
    status text NOT NULL CHECK (status IN
        ('requested', 'awaiting_approval', 'dispatched', 'completed', 'failed', 'expired', 'denied', 'canceled')),
    -- The device that was asked; only its answer counts.
    device_id uuid,
    attempts integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    deadline_at timestamptz NOT NULL,
    finished_at timestamptz,
    PRIMARY KEY (tenant_id, run_id, call_id),
    FOREIGN KEY (tenant_id, run_id) REFERENCES hsafa.runs
);
CREATE INDEX tool_calls_by_id ON hsafa.tool_calls (tenant_id, call_id);
CREATE INDEX tool_calls_waiting ON hsafa.tool_calls (tenant_id, created_at) WHERE status = 'requested' AND target = 'device';
CREATE INDEX tool_calls_of_device ON hsafa.tool_calls (tenant_id, device_id) WHERE status = 'dispatched';
CREATE INDEX tool_calls_deadlines ON hsafa.tool_calls (deadline_at) WHERE finished_at IS NULL;
CALL hsafa.guard_tenant_table('tool_calls');
GRANT SELECT, INSERT, UPDATE ON hsafa.tool_calls TO hsafa_app;
GRANT SELECT ON hsafa.tool_calls TO hsafa_system;

-- The one outcome of a call.
CREATE TABLE hsafa.tool_results (
    tenant_id uuid NOT NULL,
    run_id uuid NOT NULL,
    call_id uuid NOT NULL,
    source text NOT NULL CHECK (source IN ('server', 'device', 'browser', 'external', 'gateway')),
    status text NOT NULL CHECK (status IN ('completed', 'failed', 'expired', 'denied', 'canceled')),
    result json,
    error json,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, run_id, call_id),
    FOREIGN KEY (tenant_id, run_id, call_id) REFERENCES hsafa.tool_calls
);
CALL hsafa.guard_tenant_table('tool_results');
GRANT SELECT, INSERT ON hsafa.tool_results TO hsafa_app;
