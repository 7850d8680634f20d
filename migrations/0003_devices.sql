CREATE TABLE hsafa.enrollment_tokens (
    tenant_id uuid NOT NULL REFERENCES hsafa.tenants,
    token_id uuid NOT NULL,
    public_id text NOT NULL UNIQUE,
    -- SHA-256 of the token: 256 random bits need no slow hash.
    secret_hash bytea NOT NULL,
    labels jsonb NOT NULL DEFAULT '{}',
    -- Globs over tool names; NULL leaves it to policy alone.
    allowed_tools text[],
    auto_approve boolean NOT NULL,
    device_key text,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    used_by_device_id uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, token_id)
);
CALL hsafa.guard_tenant_table('enrollment_tokens');
GRANT SELECT, INSERT, UPDATE ON hsafa.enrollment_tokens TO hsafa_app;
GRANT SELECT ON hsafa.enrollment_tokens TO hsafa_system;

CREATE TABLE hsafa.devices (
    tenant_id uuid NOT NULL REFERENCES hsafa.tenants,
    device_id uuid NOT NULL,
    device_key text NOT NULL,
    public_key bytea NOT NULL CHECK (length(public_key) = 32),
    display_name text,
    platform text,
    labels jsonb NOT NULL DEFAULT '{}',
    allowed_tools text[],
    -- What the device said at its last registration: claims, not rights.
    capabilities jsonb NOT NULL DEFAULT '{"tools":[]}',
    tool_names text[] NOT NULL DEFAULT '{}',
    status text NOT NULL CHECK (status IN ('pending', 'active', 'revoked')),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz,
    PRIMARY KEY (tenant_id, device_id),
    UNIQUE (tenant_id, device_key)
);
CREATE INDEX devices_by_labels ON hsafa.devices USING gin (labels jsonb_path_ops);
CALL hsafa.guard_tenant_table('devices');
GRANT SELECT, INSERT, UPDATE ON hsafa.devices TO hsafa_app;
GRANT SELECT ON hsafa.devices TO hsafa_system;

CREATE TABLE hsafa.device_sessions (
    tenant_id uuid NOT NULL,
    session_id uuid NOT NULL,
    device_id uuid NOT NULL,
    -- The gateway process that holds the socket.
    replica_id uuid NOT NULL,
    remote_address text,
    connected_at timestamptz NOT NULL DEFAULT now(),
    last_heartbeat_at timestamptz NOT NULL DEFAULT now(),
    disconnected_at timestamptz,
    close_reason text,
    PRIMARY KEY (tenant_id, session_id),
    FOREIGN KEY (tenant_id, device_id) REFERENCES hsafa.devices
);
CREATE UNIQUE INDEX device_sessions_open ON hsafa.device_sessions (tenant_id, device_id) WHERE disconnected_at IS NULL;
CREATE INDEX device_sessions_by_device ON hsafa.device_sessions (tenant_id, device_id, connected_at DESC);
CALL hsafa.guard_tenant_table('device_sessions');
GRANT SELECT, INSERT, UPDATE ON hsafa.device_sessions TO hsafa_app;

CREATE FUNCTION hsafa.find_enrollment_token(wanted text)
    RETURNS TABLE (tenant_id uuid, slug text, tenant_status text, token_id uuid, secret_hash bytea)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
    SELECT e.tenant_id, t.slug, t.status, e.token_id, e.secret_hash
    FROM hsafa.enrollment_tokens e JOIN hsafa.tenants t USING (tenant_id)
    WHERE e.public_id = wanted
    $$;

CREATE FUNCTION hsafa.find_device(wanted uuid)
    RETURNS TABLE (tenant_id uuid, slug text, tenant_status text, public_key bytea, status text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
    SELECT d.tenant_id, t.slug, t.status, d.public_key, d.status
    FROM hsafa.devices d JOIN hsafa.tenants t USING (tenant_id)
    WHERE d.device_id = wanted
    $$;
CREATE INDEX devices_by_id ON hsafa.devices (device_id);

ALTER FUNCTION hsafa.find_enrollment_token(text) OWNER TO hsafa_system;
ALTER FUNCTION hsafa.find_device(uuid) OWNER TO hsafa_system;
REVOKE EXECUTE ON FUNCTION hsafa.find_enrollment_token(text), hsafa.find_device(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hsafa.find_enrollment_token(text), hsafa.find_device(uuid) TO hsafa_app;
