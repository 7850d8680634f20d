#!/usr/bin/env bash
# Run once by the Postgres image, on an empty data folder: the roles and the database, then the passwords.
set -euo pipefail

psql=(psql -X -q -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres)
"${psql[@]}" -v database=hsafa -f /opt/hsafa/roles.sql
# Read by psql from its environment: an argument would show in a process list.
"${psql[@]}" <<'SQL'
\getenv owner_password HSAFA_OWNER_PASSWORD
\getenv app_password HSAFA_APP_PASSWORD
ALTER ROLE hsafa_owner PASSWORD :'owner_password';
ALTER ROLE hsafa_app PASSWORD :'app_password';
SQL
