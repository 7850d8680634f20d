-- Keys that rotate, what caches must hear of, tenants as the platform's admins see them, and the audit log.

-- A rotated key stays one key: until previous_expires_at the secret before is good as well, under the public id that it carries.
ALTER TABLE hsafa.api_keys
    ADD COLUMN previous_public_id text UNIQUE,
    ADD COLUMN previous_secret_hash text,
    ADD COLUMN previous_expires_at timestamptz,
    ADD COLUMN rotated_at timestamptz,
    -- The last change that a cached principal must notice; NULL where there was none.
    ADD COLUMN changed_at timestamptz,
    ADD CONSTRAINT api_keys_previous_whole CHECK (
        (previous_public_id IS NULL) = (previous_secret_hash IS NULL) AND (previous_public_id IS NULL) = (previous_expires_at IS NULL)),
    ADD CONSTRAINT api_keys_admin_has_no_scopes CHECK (NOT is_admin OR scopes = '{}');
CREATE INDEX api_keys_by_change ON hsafa.api_keys (changed_at) WHERE changed_at IS NOT NULL;

ALTER TABLE hsafa.tenants
    ADD COLUMN generation integer NOT NULL DEFAULT 1,
    ADD COLUMN changed_at timestamptz;
CREATE INDEX tenants_by_change ON hsafa.tenants (changed_at) WHERE changed_at IS NOT NULL;

-- The application makes keys of tenants only and changes what rotation and revocation change: never a scope, never is_admin.
REVOKE INSERT, UPDATE ON hsafa.api_keys FROM hsafa_app;
GRANT INSERT (tenant_id, key_id, public_id, name, secret_hash, scopes, expires_at) ON hsafa.api_keys TO hsafa_app;
GRANT UPDATE (public_id, secret_hash, previous_public_id, previous_secret_hash, previous_expires_at, rotated_at, expires_at, revoked_at)
    ON hsafa.api_keys TO hsafa_app;

-- Generation and time are kept here, so that no statement can forget them, one that an operator types included. The clock is read as
-- late as can be: caches look back from it. A hash made anew with other costs is the same secret, and so no change.
CREATE FUNCTION hsafa.note_access_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = hsafa, pg_temp
    AS $$
BEGIN
    NEW.generation := OLD.generation + 1;
    NEW.changed_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER note_change BEFORE UPDATE ON hsafa.api_keys FOR EACH ROW
    WHEN ((OLD.public_id, OLD.previous_public_id, OLD.previous_expires_at, OLD.scopes, OLD.is_admin, OLD.expires_at, OLD.revoked_at)
        IS DISTINCT FROM
        (NEW.public_id, NEW.previous_public_id, NEW.previous_expires_at, NEW.scopes, NEW.is_admin, NEW.expires_at, NEW.revoked_at))
    EXECUTE FUNCTION hsafa.note_access_change();
CREATE TRIGGER note_change BEFORE UPDATE ON hsafa.tenants FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION hsafa.note_access_change();

-- Policies name slugs, and logs do.
CREATE FUNCTION hsafa.refuse_slug_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = hsafa, pg_temp
    AS $$
BEGIN
    RAISE EXCEPTION 'the slug of a tenant never changes' USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER refuse_slug_change BEFORE UPDATE ON hsafa.tenants FOR EACH ROW
    WHEN (OLD.slug IS DISTINCT FROM NEW.slug) EXECUTE FUNCTION hsafa.refuse_slug_change();

-- Who changed what, from where. Append-only for the application: it may neither change nor delete a row.
CREATE TABLE hsafa.audit_log (
    tenant_id uuid NOT NULL REFERENCES hsafa.tenants,
    audit_id uuid NOT NULL,
    -- Milliseconds, as the API shows them and as a page's cursor names them.
    at timestamptz(3) NOT NULL DEFAULT clock_timestamp(),
    actor_kind text NOT NULL CHECK (actor_kind IN ('key', 'admin', 'enrollment_token', 'operator')),
    actor_id text NOT NULL,
    action text NOT NULL,
    target_kind text NOT NULL,
    target_id text NOT NULL,
    -- Of the client, as the gateway saw it.
    address text,
    request_id text,
    -- What is worth knowing of the change; never a secret.
    details jsonb,
    PRIMARY KEY (tenant_id, audit_id)
);
CALL hsafa.guard_tenant_table('audit_log');
CREATE INDEX audit_log_by_time ON hsafa.audit_log (tenant_id, at, audit_id);
CREATE INDEX audit_log_by_target ON hsafa.audit_log (tenant_id, target_id, at, audit_id);
CREATE INDEX audit_log_over_all ON hsafa.audit_log (at, audit_id);
GRANT SELECT, INSERT ON hsafa.audit_log TO hsafa_app;
GRANT SELECT ON hsafa.audit_log TO hsafa_system;

-- By the public id of either secret. A previous secret is found until its overlap ends, and its row says so in expires_at.
DROP FUNCTION hsafa.find_api_key(text);
CREATE FUNCTION hsafa.find_api_key(wanted text)
    RETURNS TABLE (
        tenant_id uuid, slug text, tenant_status text, key_id uuid, secret_hash text, scopes text[], is_admin boolean,
        generation integer, expires_at timestamptz, is_revoked boolean, tenant_generation integer)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
    SELECT k.tenant_id, t.slug, t.status, k.key_id, k.secret_hash, k.scopes, k.is_admin, k.generation, k.expires_at,
           k.revoked_at IS NOT NULL, t.generation
    FROM hsafa.api_keys k JOIN hsafa.tenants t USING (tenant_id)
    WHERE k.public_id = wanted
    UNION ALL
    SELECT k.tenant_id, t.slug, t.status, k.key_id, k.previous_secret_hash, k.scopes, k.is_admin, k.generation,
           least(k.expires_at, k.previous_expires_at), k.revoked_at IS NOT NULL, t.generation
    FROM hsafa.api_keys k JOIN hsafa.tenants t USING (tenant_id)
    WHERE k.previous_public_id = wanted AND k.previous_expires_at > now()
    LIMIT 1
    $$;

-- What changed since a moment, for caches: keys, tenants, and always one row with the clock from which to ask next time.
CREATE FUNCTION hsafa.access_changes(in_since timestamptz, in_limit integer)
    RETURNS TABLE (kind text, tenant_id uuid, key_id uuid, generation integer, is_active boolean, at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
    SELECT 'clock', NULL::uuid, NULL::uuid, 0, true, now()
    UNION ALL
    (SELECT 'tenant', t.tenant_id, NULL::uuid, t.generation, t.status = 'active', t.changed_at
     FROM hsafa.tenants t WHERE t.changed_at > in_since ORDER BY t.changed_at DESC LIMIT in_limit)
    UNION ALL
    (SELECT 'key', k.tenant_id, k.key_id, k.generation, k.revoked_at IS NULL, k.changed_at
     FROM hsafa.api_keys k WHERE k.changed_at > in_since ORDER BY k.changed_at DESC LIMIT in_limit)
    $$;

-- When keys were last used, of many tenants at once; a time never goes back.
CREATE FUNCTION hsafa.note_keys_used(tenants uuid[], keys uuid[], times timestamptz[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
    UPDATE hsafa.api_keys k SET last_used_at = u.used_at
    FROM unnest(tenants, keys, times) AS u (tenant_id, key_id, used_at)
    WHERE k.tenant_id = u.tenant_id AND k.key_id = u.key_id AND (k.last_used_at IS NULL OR k.last_used_at < u.used_at)
    $$;

-- The second wall of the functions below: whoever calls them names a key of the platform's admins that is good at this moment.
CREATE FUNCTION hsafa.require_admin(in_admin uuid) RETURNS void
    LANGUAGE plpgsql STABLE SET search_path = hsafa, pg_temp
    AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM hsafa.api_keys k JOIN hsafa.tenants t USING (tenant_id)
        WHERE k.key_id = in_admin AND k.is_admin AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
          AND t.slug = 'platform' AND t.status = 'active')
    THEN
        RAISE EXCEPTION 'this needs a key of the platform''s admins' USING ERRCODE = 'HS403';
    END IF;
END $$;
CREATE INDEX api_keys_of_admins ON hsafa.api_keys (key_id) WHERE is_admin;

CREATE FUNCTION hsafa.create_tenant(in_admin uuid, in_tenant uuid, in_slug text, in_name text) RETURNS SETOF hsafa.tenants
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
BEGIN
    PERFORM hsafa.require_admin(in_admin);
    RETURN QUERY
        INSERT INTO hsafa.tenants AS t (tenant_id, slug, name) VALUES (in_tenant, in_slug, in_name)
        ON CONFLICT (slug) DO NOTHING RETURNING t.*;
END $$;

-- in_tenant: that one alone. in_after: those behind it, newest first.
CREATE FUNCTION hsafa.list_tenants(in_admin uuid, in_tenant uuid, in_status text, in_after uuid, in_limit integer)
    RETURNS SETOF hsafa.tenants
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
BEGIN
    PERFORM hsafa.require_admin(in_admin);
    RETURN QUERY
        SELECT t.* FROM hsafa.tenants t
        WHERE (in_tenant IS NULL OR t.tenant_id = in_tenant) AND (in_status IS NULL OR t.status = in_status)
          AND (in_after IS NULL OR t.tenant_id < in_after)
        ORDER BY t.tenant_id DESC LIMIT in_limit;
END $$;

-- What is NULL stays. No row where nothing would change, or there is no such tenant.
CREATE FUNCTION hsafa.update_tenant(in_admin uuid, in_tenant uuid, in_name text) RETURNS SETOF hsafa.tenants
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
BEGIN
    PERFORM hsafa.require_admin(in_admin);
    RETURN QUERY
        UPDATE hsafa.tenants t SET name = coalesce(in_name, t.name)
        WHERE t.tenant_id = in_tenant AND in_name IS DISTINCT FROM t.name AND in_name IS NOT NULL RETURNING t.*;
END $$;

-- The platform's own tenant is never suspended: nobody could resume it.
CREATE FUNCTION hsafa.set_tenant_status(in_admin uuid, in_tenant uuid, in_status text) RETURNS SETOF hsafa.tenants
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
BEGIN
    PERFORM hsafa.require_admin(in_admin);
    RETURN QUERY
        UPDATE hsafa.tenants t SET status = in_status
        WHERE t.tenant_id = in_tenant AND t.status <> in_status AND t.slug <> 'platform' RETURNING t.*;
END $$;

CREATE FUNCTION hsafa.list_audit(
    in_admin uuid, in_tenant uuid, in_action text, in_actor text, in_target text, in_from timestamptz, in_to timestamptz,
    in_before_at timestamptz, in_before_id uuid, in_limit integer)
    RETURNS SETOF hsafa.audit_log
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
BEGIN
    PERFORM hsafa.require_admin(in_admin);
    RETURN QUERY
        SELECT a.* FROM hsafa.audit_log a
        WHERE (in_tenant IS NULL OR a.tenant_id = in_tenant) AND (in_action IS NULL OR a.action = in_action)
          AND (in_actor IS NULL OR a.actor_id = in_actor) AND (in_target IS NULL OR a.target_id = in_target)
          AND (in_from IS NULL OR a.at >= in_from) AND (in_to IS NULL OR a.at < in_to)
          AND (in_before_at IS NULL OR (a.at, a.audit_id) < (in_before_at, in_before_id))
        ORDER BY a.at DESC, a.audit_id DESC LIMIT in_limit;
END $$;

-- For the command line on the machine, whose connection is the owner's.
CREATE FUNCTION hsafa.find_tenant(wanted_slug text) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$ SELECT tenant_id FROM hsafa.tenants WHERE slug = wanted_slug $$;

DO $$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY[
        'hsafa.find_api_key(text)',
        'hsafa.access_changes(timestamptz, integer)',
        'hsafa.note_keys_used(uuid[], uuid[], timestamptz[])',
        'hsafa.create_tenant(uuid, uuid, text, text)',
        'hsafa.list_tenants(uuid, uuid, text, uuid, integer)',
        'hsafa.update_tenant(uuid, uuid, text)',
        'hsafa.set_tenant_status(uuid, uuid, text)',
        'hsafa.list_audit(uuid, uuid, text, text, text, timestamptz, timestamptz, timestamptz, uuid, integer)']
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', signature);
        EXECUTE format('ALTER FUNCTION %s OWNER TO hsafa_system', signature);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO hsafa_app', signature);
    END LOOP;
END $$;
REVOKE EXECUTE ON FUNCTION hsafa.require_admin(uuid) FROM PUBLIC;
ALTER FUNCTION hsafa.require_admin(uuid) OWNER TO hsafa_system;
REVOKE EXECUTE ON FUNCTION hsafa.find_tenant(text) FROM PUBLIC;
ALTER FUNCTION hsafa.find_tenant(text) OWNER TO hsafa_system;
DO $$ BEGIN EXECUTE format('GRANT EXECUTE ON FUNCTION hsafa.find_tenant(text) TO %I', current_user); END $$;
