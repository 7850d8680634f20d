-- The three roles and one database. Run it as a superuser, as often as you like:
--   psql -v ON_ERROR_STOP=1 -v database=hsafa -f scripts/roles.sql
--
--   hsafa_owner   owns the database and its tables, and migrates them. No superuser, no BYPASSRLS; but as a member of
--                 hsafa_system it passes the walls between tenants: its URL belongs to migrations and to the commands on the
--                 machine, never to a serving gateway.
--   hsafa_app     what the gateway connects as. It sees one tenant at a time.
--   hsafa_system  nobody logs in as it. It owns the few SECURITY DEFINER functions that must cross tenants. The owner
--                 is its member, so that a migration can give it those functions.
--
-- Passwords are not set here: the private cluster of `make run` trusts who reaches its socket, and a deployment sets
-- its own (docker/postgres-init.sh).

SELECT format('CREATE ROLE %I', name)
FROM unnest(ARRAY['hsafa_system', 'hsafa_owner', 'hsafa_app']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec

ALTER ROLE hsafa_system NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION;
ALTER ROLE hsafa_owner LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION;
ALTER ROLE hsafa_app LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION;

GRANT hsafa_system TO hsafa_owner;

SELECT format('CREATE DATABASE %I OWNER hsafa_owner', :'database')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database')
\gexec

ALTER DATABASE :"database" OWNER TO hsafa_owner;
-- No temporary tables for the application: a SECURITY DEFINER function must never find one before its own.
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO hsafa_app;
