-- Answers to creating requests that carried an Idempotency-Key. A record is the first row of the transaction that creates, so a twin
-- of the request waits on the primary key until that transaction has ended, and what was rolled back leaves no record.
CREATE TABLE hsafa.idempotency_keys (
    tenant_id uuid NOT NULL REFERENCES hsafa.tenants,
    -- The API key that asked.
    principal_id uuid NOT NULL,
    -- SHA-256 over method, path and the key's text: of one size, whatever the caller chose.
    slot bytea NOT NULL CHECK (length(slot) = 32),
    -- The operation's id in openapi.yaml, for whoever reads the table.
    operation text NOT NULL,
    -- SHA-256 over query, content type and the body's bytes.
    fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32),
    -- NULL only inside the transaction that creates.
    status smallint,
    location text,
    -- The answer, byte for byte. NULL where it held a secret, which is shown once: then created_id names what was made.
    body json,
    created_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, principal_id, slot),
    CHECK (body IS NULL OR created_id IS NULL)
);
CREATE INDEX idempotency_keys_by_expiry ON hsafa.idempotency_keys (expires_at);
CALL hsafa.guard_tenant_table('idempotency_keys');
GRANT SELECT, INSERT, UPDATE ON hsafa.idempotency_keys TO hsafa_app;
GRANT SELECT, DELETE, UPDATE ON hsafa.idempotency_keys TO hsafa_system;

-- Drops records whose time is over, of all tenants, at most in_limit; how many there were.
CREATE FUNCTION hsafa.sweep_idempotency_keys(in_limit integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
    WITH over AS (
        SELECT k.tenant_id, k.principal_id, k.slot FROM hsafa.idempotency_keys k
        WHERE k.expires_at <= now() ORDER BY k.expires_at LIMIT in_limit FOR UPDATE SKIP LOCKED
    ), dropped AS (
        DELETE FROM hsafa.idempotency_keys k USING over
        WHERE k.tenant_id = over.tenant_id AND k.principal_id = over.principal_id AND k.slot = over.slot
        RETURNING 1
    )
    SELECT count(*) FROM dropped
    $$;
ALTER FUNCTION hsafa.sweep_idempotency_keys(integer) OWNER TO hsafa_system;
REVOKE EXECUTE ON FUNCTION hsafa.sweep_idempotency_keys(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hsafa.sweep_idempotency_keys(integer) TO hsafa_app;
