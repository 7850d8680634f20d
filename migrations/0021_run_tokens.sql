-- Run tokens: what a page gets, so that it may watch one run, and what else it was given.
CREATE TABLE hsafa.run_tokens (
    tenant_id uuid NOT NULL,
    token_id uuid NOT NULL,
    run_id uuid NOT NULL,
    -- The public part of the token's text: finds the row before anything is compared.
    public_id text NOT NULL UNIQUE,
    -- SHA-256 of the token's text. 256 random bits need no slow hash.
    secret_hash bytea NOT NULL CHECK (length(secret_hash) = 32),
    -- Beside watching.
    grants text[] NOT NULL CHECK (grants <@ ARRAY['tools', 'approvals']),
    -- The key that made it, with which it ends.
    key_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    PRIMARY KEY (tenant_id, token_id),
    FOREIGN KEY (tenant_id, run_id) REFERENCES hsafa.runs ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, key_id) REFERENCES hsafa.api_keys
);
CREATE INDEX run_tokens_by_run ON hsafa.run_tokens (tenant_id, run_id);
CREATE INDEX run_tokens_by_expiry ON hsafa.run_tokens (expires_at);
CREATE INDEX run_tokens_by_revocation ON hsafa.run_tokens (revoked_at) WHERE revoked_at IS NOT NULL;
CALL hsafa.guard_tenant_table('run_tokens');
GRANT SELECT, INSERT, DELETE, UPDATE (revoked_at) ON hsafa.run_tokens TO hsafa_app;
GRANT SELECT, DELETE, UPDATE ON hsafa.run_tokens TO hsafa_system;

-- A token is revoked for good, and the time of it is read here: caches look back from it.
CREATE FUNCTION hsafa.note_run_token_revocation() RETURNS trigger
    LANGUAGE plpgsql SET search_path = hsafa, pg_temp
    AS $$
BEGIN
    IF OLD.revoked_at IS NOT NULL THEN
        NEW.revoked_at := OLD.revoked_at;
    ELSIF NEW.revoked_at IS NOT NULL THEN
        NEW.revoked_at := clock_timestamp();
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER note_revocation BEFORE UPDATE OF revoked_at ON hsafa.run_tokens FOR EACH ROW
    EXECUTE FUNCTION hsafa.note_run_token_revocation();

-- Runs as its caller. The run's row is locked, so that its end and the count of its tokens hold until the commit; tokens that were over
-- a minute ago make room. `verdict`: created, no_run, run_ended, too_many, no_issuer.
CREATE FUNCTION hsafa.create_run_token(
    in_tenant uuid, in_token uuid, in_run uuid, in_public text, in_hash bytea, in_grants text[], in_key uuid, in_seconds integer,
    in_grace double precision, in_most integer)
    RETURNS TABLE (verdict text, made_at timestamptz, good_until timestamptz)
    LANGUAGE plpgsql
    AS $$
DECLARE
    run hsafa.runs%ROWTYPE;
    key_expiry timestamptz;
BEGIN
    SELECT r.* INTO run FROM hsafa.runs r WHERE r.tenant_id = in_tenant AND r.run_id = in_run FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'no_run', NULL::timestamptz, NULL::timestamptz;
        RETURN;
    END IF;
    IF run.finished_at IS NOT NULL THEN
        RETURN QUERY SELECT 'run_ended', NULL::timestamptz, NULL::timestamptz;
        RETURN;
    END IF;
    SELECT k.expires_at INTO key_expiry FROM hsafa.api_keys k
    WHERE k.tenant_id = in_tenant AND k.key_id = in_key AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now());
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'no_issuer', NULL::timestamptz, NULL::timestamptz;
        RETURN;
    END IF;
    DELETE FROM hsafa.run_tokens t
    WHERE t.tenant_id = in_tenant AND t.run_id = in_run
      AND (t.expires_at < now() - interval '1 minute' OR t.revoked_at < now() - interval '1 hour');
    -- The row of a revocation stays longer, for a replica that could not read for some time: it tells it to end its streams.
    IF (SELECT count(*) FROM hsafa.run_tokens t
        WHERE t.tenant_id = in_tenant AND t.run_id = in_run
          AND (t.revoked_at IS NULL OR t.revoked_at > now() - interval '1 minute')) >= in_most
    THEN
        RETURN QUERY SELECT 'too_many', NULL::timestamptz, NULL::timestamptz;
        RETURN;
    END IF;
    RETURN QUERY
        INSERT INTO hsafa.run_tokens (tenant_id, token_id, run_id, public_id, secret_hash, grants, key_id, expires_at)
        VALUES (in_tenant, in_token, in_run, in_public, in_hash, in_grants, in_key,
            least(now() + make_interval(secs => in_seconds), key_expiry, run.deadline_at + make_interval(secs => in_grace)))
        RETURNING 'created'::text, created_at, expires_at;
END $$;
REVOKE EXECUTE ON FUNCTION hsafa.create_run_token(
    uuid, uuid, uuid, text, bytea, text[], uuid, integer, double precision, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hsafa.create_run_token(
    uuid, uuid, uuid, text, bytea, text[], uuid, integer, double precision, integer) TO hsafa_app;

-- What a token is good for at this moment: with its own time, its run, and the key that made it.
CREATE FUNCTION hsafa.find_run_token(wanted text, in_grace double precision)
    RETURNS TABLE (
        tenant_id uuid, slug text, tenant_status text, token_id uuid, run_id uuid, grants text[], secret_hash bytea, key_id uuid,
        key_generation integer, expires_at timestamptz, is_good boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
    SELECT t.tenant_id, n.slug, n.status, t.token_id, t.run_id, t.grants, t.secret_hash, t.key_id, k.generation,
           least(t.expires_at, k.expires_at),
           t.revoked_at IS NULL AND k.revoked_at IS NULL AND least(t.expires_at, k.expires_at) > now()
               AND (r.finished_at IS NULL OR r.finished_at + make_interval(secs => in_grace) > now())
    FROM hsafa.run_tokens t
    JOIN hsafa.tenants n USING (tenant_id)
    JOIN hsafa.api_keys k USING (tenant_id, key_id)
    JOIN hsafa.runs r USING (tenant_id, run_id)
    WHERE t.public_id = wanted
    $$;

-- As in 0007, and run tokens that were revoked; their id stands in key_id.
CREATE OR REPLACE FUNCTION hsafa.access_changes(in_since timestamptz, in_limit integer)
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
    UNION ALL
    (SELECT 'run_token', r.tenant_id, r.token_id, 0, false, r.revoked_at
     FROM hsafa.run_tokens r WHERE r.revoked_at > in_since ORDER BY r.revoked_at DESC LIMIT in_limit)
    $$;

-- Drops tokens whose time was over an hour ago, of all tenants, at most in_limit; how many there were.
CREATE FUNCTION hsafa.sweep_run_tokens(in_limit integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
    WITH over AS (
        SELECT t.tenant_id, t.token_id FROM hsafa.run_tokens t
        WHERE t.expires_at <= now() - interval '1 hour' ORDER BY t.expires_at LIMIT in_limit FOR UPDATE SKIP LOCKED
    ), dropped AS (
        DELETE FROM hsafa.run_tokens t USING over WHERE t.tenant_id = over.tenant_id AND t.token_id = over.token_id RETURNING 1
    )
    SELECT count(*) FROM dropped
    $$;

DO $$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY['hsafa.find_run_token(text, double precision)', 'hsafa.sweep_run_tokens(integer)']
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', signature);
        EXECUTE format('ALTER FUNCTION %s OWNER TO hsafa_system', signature);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO hsafa_app', signature);
    END LOOP;
END $$;
