-- Retention of the audit log: an operator's command on the machine deletes with the owner's connection, tenant by tenant and within that
-- tenant's scope. The application stays append-only, and no function deletes for it.

-- The next tenant, by id, that has rows from before a moment.
CREATE FUNCTION hsafa.next_tenant_with_old_audit(in_before timestamptz, in_after uuid) RETURNS TABLE (tenant_id uuid, slug text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
    SELECT t.tenant_id, t.slug FROM hsafa.tenants t
    WHERE t.tenant_id > in_after
      AND EXISTS (SELECT FROM hsafa.audit_log a WHERE a.tenant_id = t.tenant_id AND a.at < in_before)
    ORDER BY t.tenant_id LIMIT 1
    $$;
ALTER FUNCTION hsafa.next_tenant_with_old_audit(timestamptz, uuid) OWNER TO hsafa_system;
REVOKE EXECUTE ON FUNCTION hsafa.next_tenant_with_old_audit(timestamptz, uuid) FROM PUBLIC;
DO $$
BEGIN
    EXECUTE format('GRANT EXECUTE ON FUNCTION hsafa.next_tenant_with_old_audit(timestamptz, uuid) TO %I', current_user);
END $$;
