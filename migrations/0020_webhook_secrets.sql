-- The key with which the gateway signs what it sends to a tenant's systems; sealed like other secrets. After a rotation the one before
-- signs as well, until its time is over.
CREATE TABLE hsafa.webhook_secrets (
    tenant_id uuid PRIMARY KEY REFERENCES hsafa.tenants,
    key_id text NOT NULL,
    sealed bytea NOT NULL,
    previous_key_id text,
    previous_sealed bytea,
    previous_expires_at timestamptz,
    rotated_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((previous_sealed IS NULL) = (previous_key_id IS NULL) AND (previous_sealed IS NULL) = (previous_expires_at IS NULL))
);
CALL hsafa.guard_tenant_table('webhook_secrets');
GRANT SELECT, INSERT, UPDATE ON hsafa.webhook_secrets TO hsafa_app;
GRANT SELECT ON hsafa.webhook_secrets TO hsafa_system;

-- As for secrets: what another master key has sealed, for the owner's command.
CREATE FUNCTION hsafa.webhook_secrets_under_other_keys(in_key text, in_after_tenant uuid, in_limit integer)
    RETURNS TABLE (tenant_id uuid, slug text, key_id text, sealed bytea, previous_key_id text, previous_sealed bytea)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
    SELECT w.tenant_id, t.slug, w.key_id, w.sealed, w.previous_key_id, w.previous_sealed
    FROM hsafa.webhook_secrets w JOIN hsafa.tenants t USING (tenant_id)
    WHERE (w.key_id <> in_key OR w.previous_key_id <> in_key) AND w.tenant_id > in_after_tenant
    ORDER BY w.tenant_id LIMIT in_limit
    $$;
ALTER FUNCTION hsafa.webhook_secrets_under_other_keys(text, uuid, integer) OWNER TO hsafa_system;
REVOKE EXECUTE ON FUNCTION hsafa.webhook_secrets_under_other_keys(text, uuid, integer) FROM PUBLIC;
DO $$
BEGIN
    EXECUTE format('GRANT EXECUTE ON FUNCTION hsafa.webhook_secrets_under_other_keys(text, uuid, integer) TO %I', current_user);
END $$;

-- An external tool's answer names its tenant by a token whose HMAC was checked before this is asked.
CREATE FUNCTION hsafa.find_external_call(in_tenant uuid, in_run uuid, in_call uuid)
    RETURNS TABLE (tenant_id uuid, slug text, tenant_status text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
    SELECT c.tenant_id, t.slug, t.status
    FROM hsafa.tool_calls c JOIN hsafa.tenants t USING (tenant_id)
    WHERE c.tenant_id = in_tenant AND c.run_id = in_run AND c.call_id = in_call AND c.target = 'external'
    $$;
ALTER FUNCTION hsafa.find_external_call(uuid, uuid, uuid) OWNER TO hsafa_system;
REVOKE EXECUTE ON FUNCTION hsafa.find_external_call(uuid, uuid, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hsafa.find_external_call(uuid, uuid, uuid) TO hsafa_app;
