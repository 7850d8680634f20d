-- Secrets of tenants, sealed with AES-256-GCM under a master key that the database never sees.
CREATE TABLE hsafa.secrets (
    tenant_id uuid NOT NULL REFERENCES hsafa.tenants,
    name text NOT NULL,
    -- Which master key has sealed it; tells nothing of that key.
    key_id text NOT NULL,
    -- nonce, ciphertext, tag; bound to tenant, name and hosts.
    sealed bytea NOT NULL,
    -- Where it may be sent.
    hosts text[] NOT NULL CHECK (cardinality(hosts) > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, name)
);
CALL hsafa.guard_tenant_table('secrets');
CREATE INDEX secrets_by_key ON hsafa.secrets (key_id);
GRANT SELECT, INSERT, UPDATE, DELETE ON hsafa.secrets TO hsafa_app;
GRANT SELECT ON hsafa.secrets TO hsafa_system;

-- What is not under this master key, from a place on; for the command that seals it anew, with the owner's connection.
CREATE FUNCTION hsafa.secrets_under_other_keys(in_key text, in_after_tenant uuid, in_after_name text, in_limit integer)
    RETURNS TABLE (tenant_id uuid, slug text, name text, key_id text, sealed bytea, hosts text[])
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
    SELECT s.tenant_id, t.slug, s.name, s.key_id, s.sealed, s.hosts
    FROM hsafa.secrets s JOIN hsafa.tenants t USING (tenant_id)
    WHERE s.key_id <> in_key AND (s.tenant_id, s.name) > (in_after_tenant, in_after_name)
    ORDER BY s.tenant_id, s.name LIMIT in_limit
    $$;
ALTER FUNCTION hsafa.secrets_under_other_keys(text, uuid, text, integer) OWNER TO hsafa_system;
REVOKE EXECUTE ON FUNCTION hsafa.secrets_under_other_keys(text, uuid, text, integer) FROM PUBLIC;
DO $$
BEGIN
    EXECUTE format('GRANT EXECUTE ON FUNCTION hsafa.secrets_under_other_keys(text, uuid, text, integer) TO %I', current_user);
END $$;
