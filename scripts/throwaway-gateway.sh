# shellcheck shell=bash
# A gateway for one script, on throwaway Postgres and Redis. Sourced behind lib.sh, never run.
#
# start_throwaway_gateway <database>: sets HSAFA_URL, HSAFA_API_KEY, OTHER_API_KEY (another tenant's) and HSAFA_ADMIN_KEY, exported; the
# gateway's log is GATEWAY_LOG. stop_throwaway_gateway ends the gateway and its servers. GATEWAY_BIN names a built gateway.

GATEWAY_PID=

start_throwaway_gateway() {
    local database=$1
    start_throwaway_servers off
    create_roles "$database"
    DATABASE_URL=$(postgres_url hsafa_app "$database")
    DATABASE_OWNER_URL=$(postgres_url hsafa_owner "$database")
    REDIS_URL=$(redis_url)
    MASTER_KEY=$(head -c 32 /dev/urandom | base64)
    PORT=$(free_port)
    HOST=127.0.0.1
    PUBLIC_URL=http://127.0.0.1:$PORT
    POLICIES_DIR=$ROOT/policies
    MIGRATIONS_DIR=$ROOT/migrations
    OPENAPI_FILE=$ROOT/openapi.yaml
    DOCS_DIR=$ROOT/viewer
    export DATABASE_URL DATABASE_OWNER_URL REDIS_URL MASTER_KEY PORT HOST PUBLIC_URL POLICIES_DIR MIGRATIONS_DIR OPENAPI_FILE DOCS_DIR
    # The load of a test is no tenant's: what limits do has suites of its own.
    export LIMIT_REQUESTS_PER_SECOND=100000 LIMIT_REQUEST_BURST=1000000 LIMIT_RUNS_PER_MINUTE=1000000 LIMIT_AGENTS=1000000
    # Where a test run gathers its logs, they are searched for what must be in none.
    GATEWAY_LOG=${TEST_LOG_DIRECTORY:-$THROWAWAY}/$database.log
    run_child "$GATEWAY_BIN" migrate >>"$GATEWAY_LOG" 2>&1 || { cat "$GATEWAY_LOG" >&2; die "the migrations failed"; }
    HSAFA_API_KEY=$(first_key --tenant contract)
    OTHER_API_KEY=$(first_key --tenant other)
    HSAFA_ADMIN_KEY=$(first_key --admin)
    [[ -z ${TEST_LOG_DIRECTORY:-} ]] ||
        printf '%s\n' "$MASTER_KEY" "$HSAFA_API_KEY" "$OTHER_API_KEY" "$HSAFA_ADMIN_KEY" >>"$TEST_LOG_DIRECTORY/known-secrets"
    HSAFA_URL=$PUBLIC_URL
    export HSAFA_URL HSAFA_API_KEY OTHER_API_KEY HSAFA_ADMIN_KEY
    spawn TERM "" "$GATEWAY_LOG" "$GATEWAY_BIN" serve
    GATEWAY_PID=$SPAWNED
    await_server "the gateway" "$GATEWAY_PID" "$GATEWAY_LOG" curl --silent --fail --max-time 5 --output /dev/null "$HSAFA_URL/health/ready"
}

stop_throwaway_gateway() {
    [[ -z $GATEWAY_PID ]] || stop_process "$GATEWAY_PID" TERM 40 KILL
    GATEWAY_PID=
    stop_throwaway_servers
}

first_key() { # <arguments of keys create>
    local key
    key=$("$GATEWAY_BIN" keys create "$@" --json 2>>"$GATEWAY_LOG" | json_field key)
    [[ -n $key ]] || { tail -n 5 "$GATEWAY_LOG" >&2; die "no key in the answer of: hsafa-gateway keys create $* --json"; }
    printf '%s\n' "$key"
}

# Nothing listens there now; two scripts that ask at once get different ones nearly always.
free_port() {
    local port
    for _ in {1..50}; do
        port=$((20000 + RANDOM % 12000))
        if ! port_in_use "$port"; then
            printf '%s\n' "$port"
            return 0
        fi
    done
    die "no free port between 20000 and 32000"
}

# find_gateway: GATEWAY_BIN, else the debug build that `make test` uses, built where it is not.
find_gateway() {
    [[ -z ${GATEWAY_BIN:-} ]] || return 0
    install_missing build
    require_swift
    say "Building the gateway (debug)"
    swift_build --product hsafa-gateway
    GATEWAY_BIN=$(swift_bin_path)/hsafa-gateway
}
