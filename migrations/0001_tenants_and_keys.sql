-- Roles: the owner runs this file; `hsafa_app` serves; `hsafa_system` owns the few functions that cross tenants.
-- A cluster that has them keeps them; elsewhere an owner with CREATEROLE makes them (scripts/roles.sql shows the statements).
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'hsafa_system') THEN
        CREATE ROLE hsafa_system NOLOGIN NOBYPASSRLS;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'hsafa_app') THEN
        CREATE ROLE hsafa_app NOLOGIN NOBYPASSRLS;
    END IF;
    IF NOT pg_has_role(current_user, 'hsafa_system', 'MEMBER') THEN
        EXECUTE format('GRANT hsafa_system TO %I', current_user);
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE EXCEPTION 'the migrating role % can neither create the roles hsafa_app and hsafa_system nor become hsafa_system', current_user
        USING HINT = 'As a superuser run scripts/roles.sql, or: CREATE ROLE hsafa_system NOLOGIN; CREATE ROLE hsafa_app LOGIN; GRANT hsafa_system TO ' || current_user;
END $$;

CREATE SCHEMA hsafa;
GRANT USAGE ON SCHEMA hsafa TO hsafa_app, hsafa_system;
-- A function's new owner needs CREATE on its schema (ALTER FUNCTION … OWNER TO).
GRANT CREATE ON SCHEMA hsafa TO hsafa_system;

-- The walls of one tenant table: forced row-level security, and the system role's way through it.
-- Once set, app.tenant_id is '' afterwards, never NULL again: hence nullif.
CREATE PROCEDURE hsafa.guard_tenant_table(table_name text)
    LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE hsafa.%I ENABLE ROW LEVEL SECURITY', table_name);
    EXECUTE format('ALTER TABLE hsafa.%I FORCE ROW LEVEL SECURITY', table_name);
    EXECUTE format(
        'CREATE POLICY tenant_isolation ON hsafa.%I
            USING (tenant_id = (SELECT nullif(current_setting(''app.tenant_id'', true), '''')::uuid))
            WITH CHECK (tenant_id = (SELECT nullif(current_setting(''app.tenant_id'', true), '''')::uuid))',
        table_name);
    EXECUTE format('CREATE POLICY system_access ON hsafa.%I TO hsafa_system USING (true) WITH CHECK (true)', table_name);
END $$;

CREATE TABLE hsafa.tenants (
    tenant_id uuid PRIMARY KEY,
    slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    name text NOT NULL,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
    -- Runs that may be running at once; NULL is the gateway's own bound.
    max_concurrent_runs integer CHECK (max_concurrent_runs > 0),
    created_at timestamptz NOT NULL DEFAULT now()
);
CALL hsafa.guard_tenant_table('tenants');
GRANT SELECT ON hsafa.tenants TO hsafa_app;
GRANT SELECT, INSERT, UPDATE ON hsafa.tenants TO hsafa_system;

CREATE TABLE hsafa.api_keys (
    tenant_id uuid NOT NULL REFERENCES hsafa.tenants,
    key_id uuid NOT NULL,
    -- The public part of the key's text: finds the row before anything is hashed.
    public_id text NOT NULL UNIQUE,
    name text NOT NULL,
    secret_hash text NOT NULL,
    scopes text[] NOT NULL,
    is_admin boolean NOT NULL DEFAULT false,
    -- Counts every change that a cached principal must notice.
    generation integer NOT NULL DEFAULT 1,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, key_id)
);
CALL hsafa.guard_tenant_table('api_keys');
GRANT SELECT, INSERT, UPDATE ON hsafa.api_keys TO hsafa_app, hsafa_system;

-- Credentials are looked up before the tenant is known.
CREATE FUNCTION hsafa.find_api_key(wanted text)
    RETURNS TABLE (
        tenant_id uuid, slug text, tenant_status text, key_id uuid, secret_hash text, scopes text[], is_admin boolean,
        generation integer, expires_at timestamptz, is_revoked boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
    SELECT k.tenant_id, t.slug, t.status, k.key_id, k.secret_hash, k.scopes, k.is_admin, k.generation, k.expires_at,
           k.revoked_at IS NOT NULL
    FROM hsafa.api_keys k JOIN hsafa.tenants t USING (tenant_id)
    WHERE k.public_id = wanted
    $$;
ALTER FUNCTION hsafa.find_api_key(text) OWNER TO hsafa_system;
REVOKE EXECUTE ON FUNCTION hsafa.find_api_key(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hsafa.find_api_key(text) TO hsafa_app;

-- Made on the machine only (`hsafa-gateway keys create`), by the owner's connection.
CREATE FUNCTION hsafa.ensure_tenant(wanted_id uuid, wanted_slug text, wanted_name text) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
DECLARE
    found_id uuid;
BEGIN
    INSERT INTO hsafa.tenants (tenant_id, slug, name) VALUES (wanted_id, wanted_slug, wanted_name) ON CONFLICT (slug) DO NOTHING;
    SELECT tenant_id INTO found_id FROM hsafa.tenants WHERE slug = wanted_slug;
    RETURN found_id;
END $$;
ALTER FUNCTION hsafa.ensure_tenant(uuid, text, text) OWNER TO hsafa_system;
REVOKE EXECUTE ON FUNCTION hsafa.ensure_tenant(uuid, text, text) FROM PUBLIC;
DO $$ BEGIN EXECUTE format('GRANT EXECUTE ON FUNCTION hsafa.ensure_tenant(uuid, text, text) TO %I', current_user); END $$;
