-- What filtered lists look by. They travel on connections that plan each list for its own parameters, so that a filter finds its index.

-- Decisions about calls are most of the log, and those who look for an action look for another.
CREATE INDEX audit_log_by_action ON hsafa.audit_log (tenant_id, action, at, audit_id) WHERE action <> 'tool_call.decide';
CREATE INDEX audit_log_by_actor ON hsafa.audit_log (tenant_id, actor_id, at, audit_id);

-- Few of many, as a rule, and written once.
CREATE INDEX runs_ended_badly ON hsafa.runs (tenant_id, status, run_id) WHERE status IN ('failed', 'canceled');

CREATE INDEX device_sessions_by_id ON hsafa.device_sessions (tenant_id, device_id, session_id);

-- Statements inside a function are planned by the function's own settings.
ALTER FUNCTION hsafa.list_audit(uuid, uuid, text, text, text, timestamptz, timestamptz, timestamptz, uuid, integer)
    SET plan_cache_mode = force_custom_plan;
ALTER FUNCTION hsafa.list_tenants(uuid, uuid, text, uuid, integer) SET plan_cache_mode = force_custom_plan;
