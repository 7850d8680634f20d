-- The application may rotate, hash anew and revoke keys of tenants. What it may not, whatever a statement of it says: bring a revoked
-- key back, or give a key of the platform's admins another secret or more time; of those it may end.
CREATE FUNCTION hsafa.guard_key_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = hsafa, pg_temp
    AS $$
BEGIN
    IF pg_has_role(current_user, 'hsafa_system', 'MEMBER') THEN
        RETURN NEW;
    END IF;
    IF OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at THEN
        RAISE EXCEPTION 'a key is revoked for good' USING ERRCODE = '42501';
    END IF;
    IF OLD.is_admin AND (
        (NEW.public_id, NEW.secret_hash, NEW.expires_at) IS DISTINCT FROM (OLD.public_id, OLD.secret_hash, OLD.expires_at)
        OR (NEW.previous_public_id IS NOT NULL AND NEW.previous_public_id IS DISTINCT FROM OLD.previous_public_id)
        OR (NEW.previous_secret_hash IS NOT NULL AND NEW.previous_secret_hash IS DISTINCT FROM OLD.previous_secret_hash)
        OR (NEW.previous_expires_at IS NOT NULL AND NEW.previous_expires_at IS DISTINCT FROM OLD.previous_expires_at))
    THEN
        RAISE EXCEPTION 'secrets of the platform''s admins are made on the machine' USING ERRCODE = '42501';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard_key_change BEFORE UPDATE ON hsafa.api_keys FOR EACH ROW EXECUTE FUNCTION hsafa.guard_key_change();
