-- Limits of a tenant are changed by the platform's admins and on the machine; the application alone may not.
REVOKE EXECUTE ON FUNCTION hsafa.set_tenant_limits(uuid, jsonb) FROM hsafa_app;

-- What is NULL stays; in_limits merges, and a null in it takes an override away. No row where nothing would change, or there is no
-- such tenant.
DROP FUNCTION hsafa.update_tenant(uuid, uuid, text);
CREATE FUNCTION hsafa.update_tenant(in_admin uuid, in_tenant uuid, in_name text, in_limits jsonb) RETURNS SETOF hsafa.tenants
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
BEGIN
    PERFORM hsafa.require_admin(in_admin);
    RETURN QUERY
        UPDATE hsafa.tenants t SET name = coalesce(in_name, t.name), limits = jsonb_strip_nulls(t.limits || coalesce(in_limits, '{}'))
        WHERE t.tenant_id = in_tenant
          AND (coalesce(in_name, t.name), jsonb_strip_nulls(t.limits || coalesce(in_limits, '{}'))) IS DISTINCT FROM (t.name, t.limits)
        RETURNING t.*;
END $$;
ALTER FUNCTION hsafa.update_tenant(uuid, uuid, text, jsonb) OWNER TO hsafa_system;
REVOKE EXECUTE ON FUNCTION hsafa.update_tenant(uuid, uuid, text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hsafa.update_tenant(uuid, uuid, text, jsonb) TO hsafa_app;
