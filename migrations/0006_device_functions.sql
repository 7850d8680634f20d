-- A revoked device's key is free again: who enrols with it is a new device under a new id.
ALTER TABLE hsafa.devices DROP CONSTRAINT devices_tenant_id_device_key_key;
CREATE UNIQUE INDEX devices_by_key ON hsafa.devices (tenant_id, device_key) WHERE status <> 'revoked';

GRANT SELECT, UPDATE (last_heartbeat_at, disconnected_at, close_reason) ON hsafa.device_sessions TO hsafa_system;

-- A device has registered: what it claims is stored, its older session ends, and the new one begins. Runs as its caller, behind
-- the tenant's walls. The device's row is locked first, so that two sockets of one device come one after the other.
-- opened is false when the device is not active (any more); replaced lists the sessions that this one took over from.
CREATE FUNCTION hsafa.open_device_session(
    in_tenant uuid, in_device uuid, in_session uuid, in_replica uuid, in_address text, in_capabilities jsonb, in_tools text[],
    OUT opened boolean, OUT replaced uuid[])
    LANGUAGE plpgsql SET search_path = hsafa, pg_temp
    AS $$
BEGIN
    UPDATE hsafa.devices d SET capabilities = in_capabilities, tool_names = in_tools, last_seen_at = now()
    WHERE d.tenant_id = in_tenant AND d.device_id = in_device AND d.status = 'active';
    opened := FOUND;
    replaced := '{}';
    IF NOT opened THEN
        RETURN;
    END IF;
    WITH closed AS (
        UPDATE hsafa.device_sessions s SET disconnected_at = now(), close_reason = 'taken_over'
        WHERE s.tenant_id = in_tenant AND s.device_id = in_device AND s.disconnected_at IS NULL
        RETURNING s.session_id
    )
    SELECT coalesce(array_agg(closed.session_id), '{}') INTO replaced FROM closed;
    -- The clock, read behind the lock: a device's newest session is the one that was opened last.
    INSERT INTO hsafa.device_sessions (tenant_id, session_id, device_id, replica_id, remote_address, connected_at)
    VALUES (in_tenant, in_session, in_device, in_replica, in_address, clock_timestamp());
END $$;

-- Heartbeats of the sessions that one gateway holds, of all tenants at once, and what each of them must hear: that it was closed
-- and why, that its device was revoked, that its tenant was suspended.
CREATE FUNCTION hsafa.renew_device_sessions(tenants uuid[], sessions uuid[])
    RETURNS TABLE (session_id uuid, is_open boolean, close_reason text, device_status text, tenant_status text)
    LANGUAGE sql SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
    WITH wanted AS (
        SELECT * FROM unnest(tenants, sessions) AS w (tenant_id, session_id)
    ), renewed AS (
        UPDATE hsafa.device_sessions s SET last_heartbeat_at = clock_timestamp()
        FROM wanted w
        WHERE s.tenant_id = w.tenant_id AND s.session_id = w.session_id AND s.disconnected_at IS NULL
        RETURNING s.session_id
    )
    SELECT w.session_id, r.session_id IS NOT NULL, s.close_reason, d.status, t.status
    FROM wanted w
    JOIN hsafa.device_sessions s USING (tenant_id, session_id)
    JOIN hsafa.devices d ON d.tenant_id = s.tenant_id AND d.device_id = s.device_id
    JOIN hsafa.tenants t ON t.tenant_id = s.tenant_id
    LEFT JOIN renewed r ON r.session_id = w.session_id
    $$;

CREATE FUNCTION hsafa.end_device_sessions(tenants uuid[], sessions uuid[], reasons text[]) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
    UPDATE hsafa.device_sessions s SET disconnected_at = now(), close_reason = w.reason
    FROM unnest(tenants, sessions, reasons) AS w (tenant_id, session_id, reason)
    WHERE s.tenant_id = w.tenant_id AND s.session_id = w.session_id AND s.disconnected_at IS NULL
    $$;

-- Sessions whose gateway has gone without a word: they ended with their last heartbeat.
CREATE FUNCTION hsafa.lose_device_sessions(in_silent_seconds double precision, in_limit integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
    WITH silent AS (
        SELECT s.tenant_id, s.session_id FROM hsafa.device_sessions s
        WHERE s.disconnected_at IS NULL AND s.last_heartbeat_at < now() - make_interval(secs => in_silent_seconds)
        LIMIT in_limit FOR NO KEY UPDATE SKIP LOCKED
    ), lost AS (
        UPDATE hsafa.device_sessions s SET disconnected_at = s.last_heartbeat_at, close_reason = 'lost'
        FROM silent WHERE s.tenant_id = silent.tenant_id AND s.session_id = silent.session_id
        RETURNING 1
    )
    SELECT count(*) FROM lost
    $$;

-- What these devices were asked and have not answered, so that a gateway sees what its sockets were not sent.
CREATE FUNCTION hsafa.dispatched_calls(tenants uuid[], devices uuid[])
    RETURNS TABLE (device_id uuid, call_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
    SELECT c.device_id, c.call_id
    FROM unnest(tenants, devices) AS w (tenant_id, device_id)
    JOIN hsafa.tool_calls c ON c.tenant_id = w.tenant_id AND c.device_id = w.device_id
    WHERE c.status = 'dispatched' AND c.deadline_at > now()
    $$;

-- Device calls that nobody was asked yet, of up to 32 tenants from a rotating cursor. Of each tenant the oldest, and some from a
-- point of its queue taken at random: calls that wait for a device which is away must not hide those behind them. A suspended
-- tenant has a row without a call, so that the caller's cursor gets past it.
CREATE FUNCTION hsafa.waiting_device_calls(in_after_tenant uuid)
    RETURNS TABLE (tenant_id uuid, slug text, run_id uuid, call_id uuid)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = hsafa, pg_temp
    AS $$
    WITH RECURSIVE waiting AS (
        SELECT (SELECT c.tenant_id FROM hsafa.tool_calls c
                WHERE c.status = 'requested' AND c.target = 'device' AND c.tenant_id > in_after_tenant
                ORDER BY c.tenant_id LIMIT 1) AS tenant_id, 1 AS position
        UNION ALL
        SELECT (SELECT c.tenant_id FROM hsafa.tool_calls c
                WHERE c.status = 'requested' AND c.target = 'device' AND c.tenant_id > w.tenant_id
                ORDER BY c.tenant_id LIMIT 1), w.position + 1
        FROM waiting w WHERE w.tenant_id IS NOT NULL AND w.position < 32
    )
    SELECT w.tenant_id, t.slug, c.run_id, c.call_id
    FROM waiting w
    LEFT JOIN hsafa.tenants t ON t.tenant_id = w.tenant_id AND t.status = 'active'
    CROSS JOIN LATERAL (
        SELECT min(x.created_at) + random() * (now() - min(x.created_at)) AS since FROM hsafa.tool_calls x
        WHERE x.tenant_id = w.tenant_id AND x.status = 'requested' AND x.target = 'device') p
    LEFT JOIN LATERAL (
        (SELECT x.run_id, x.call_id FROM hsafa.tool_calls x
         WHERE x.tenant_id = w.tenant_id AND x.status = 'requested' AND x.target = 'device' AND x.deadline_at > now()
         ORDER BY x.created_at LIMIT 8)
        UNION
        (SELECT x.run_id, x.call_id FROM hsafa.tool_calls x
         WHERE x.tenant_id = w.tenant_id AND x.status = 'requested' AND x.target = 'device' AND x.deadline_at > now()
           AND x.created_at >= p.since
         ORDER BY x.created_at LIMIT 24)) c ON t.tenant_id IS NOT NULL
    WHERE w.tenant_id IS NOT NULL
    ORDER BY w.position
    $$;

DO $$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY[
        'hsafa.renew_device_sessions(uuid[], uuid[])',
        'hsafa.end_device_sessions(uuid[], uuid[], text[])',
        'hsafa.lose_device_sessions(double precision, integer)',
        'hsafa.dispatched_calls(uuid[], uuid[])',
        'hsafa.waiting_device_calls(uuid)']
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', signature);
        EXECUTE format('ALTER FUNCTION %s OWNER TO hsafa_system', signature);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO hsafa_app', signature);
    END LOOP;
END $$;
-- Runs as its caller.
REVOKE EXECUTE ON FUNCTION hsafa.open_device_session(uuid, uuid, uuid, uuid, text, jsonb, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hsafa.open_device_session(uuid, uuid, uuid, uuid, text, jsonb, text[]) TO hsafa_app;
