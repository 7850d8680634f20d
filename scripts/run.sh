#!/usr/bin/env bash
# `make run`: everything the gateway needs, then the gateway, until Ctrl-C.
#
#   PORT=3000 HOST=127.0.0.1   where it listens
#   CONFIGURATION=release      or debug, which shares its build with `make test`
#   DATABASE_URL, DATABASE_OWNER_URL, REDIS_URL   servers of yours in place of the private ones
#   GATEWAY_BIN                a built gateway in place of building one
#   HSAFA_STATE=.hsafa         where data, key and credentials are kept
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

CONFIGURATION=${CONFIGURATION:-release}
PORT=${PORT:-3000}
HOST=${HOST:-127.0.0.1}
URL=http://127.0.0.1:$PORT
RUN=$STATE/run
GATEWAY_PID=

# shellcheck disable=SC2317 # called by the trap
on_exit() {
    if [[ -n $GATEWAY_PID ]]; then
        say "Stopping"
        stop_process "$GATEWAY_PID" TERM 40 KILL
        rm -f "$RUN/gateway.pid"
    fi
    stop_servers
    rm -f "$RUN/run.pid"
}

main() {
    mkdir -p "$STATE/logs" "$RUN"
    STATE=$(cd "$STATE" && pwd -P)
    RUN=$STATE/run
    PID_FOLDER=$RUN
    take_lock
    trap_exit
    record_process "$RUN/run.pid" $$ run.sh
    local needs=(curl)
    [[ -n ${GATEWAY_BIN:-} ]] || needs+=(build)
    [[ -n ${DATABASE_URL:-} ]] || needs+=(postgres)
    [[ -n ${REDIS_URL:-} ]] || needs+=(redis)
    install_missing "${needs[@]}"
    stop_leftovers
    ! port_in_use "$PORT" || die "port $PORT is taken by another program; try: PORT=$((PORT + 1)) make run"
    build
    start_servers
    settings
    run_child "$GATEWAY_BIN" migrate
    serve
}

# One `make run` for each state folder. The kernel drops the lock with the process, so kill -9 leaves none behind.
take_lock() {
    exec 9>>"$STATE/lock"
    flock -n 9 || die "make run is already running here (pid $(recorded_process "$RUN/run.pid" || echo unknown))$(
        [[ ! -r $STATE/credentials ]] || printf ', at %s' "$(credential HSAFA_URL)"
    ). Stop it with Ctrl-C in its terminal, or with: make stop"
}

# What an earlier start left running when it was killed. A file goes only when its process is gone, so that what one
# start did not get to is found by the next.
stop_leftovers() {
    local name pid
    for name in gateway redis postgres; do
        if pid=$(recorded_process "$RUN/$name.pid"); then
            say "Stopping $name (pid $pid), which an earlier start left behind"
            case $name in
                postgres) stop_process "$pid" INT 30 QUIT ;;
                *) stop_process "$pid" TERM 20 KILL ;;
            esac
        fi
        rm -f "$RUN/$name.pid"
    done
}

build() {
    [[ -z ${GATEWAY_BIN:-} ]] || return 0
    require_swift
    say "Building ($CONFIGURATION; the first time takes several minutes)"
    swift_build -c "$CONFIGURATION" --product hsafa-gateway
    swift_build -c "$CONFIGURATION" --product hsafa
    local bin
    bin=$(swift_bin_path -c "$CONFIGURATION")
    GATEWAY_BIN=$bin/hsafa-gateway
    # For `make demo`, so that it uses what was just built.
    echo "$bin/hsafa" >"$STATE/hsafa.path"
}

start_servers() {
    clear_postgres_environment
    # As the gateway's own commands have it (docs/CONFIGURATION.md). A role that may not create tables is told so by the migration.
    if [[ -n ${DATABASE_URL:-} ]]; then DATABASE_OWNER_URL=${DATABASE_OWNER_URL:-$DATABASE_URL}; fi
    [[ -z ${DATABASE_URL:-} || -z ${REDIS_URL:-} ]] || return 0
    choose_data_folder
    if [[ -z ${DATABASE_URL:-} ]]; then
        say "Starting a private Postgres in $SERVER_BASE/postgres"
        : >"$STATE/logs/postgres.log"
        start_postgres "$STATE/logs/postgres.log" on 100
        create_roles hsafa
        DATABASE_URL=$(postgres_url hsafa_app hsafa)
        DATABASE_OWNER_URL=$(postgres_url hsafa_owner hsafa)
    fi
    if [[ -z ${REDIS_URL:-} ]]; then
        say "Starting a private Redis in $SERVER_BASE/redis"
        : >"$STATE/logs/redis.log"
        start_redis "$STATE/logs/redis.log" "60 1"
        REDIS_URL=$(redis_url)
    fi
}

# .hsafa/data, or a folder behind that name where the users of Postgres and Redis can reach it.
choose_data_folder() {
    local data=$STATE/data elsewhere
    elsewhere=/var/tmp/hsafa-$(path_hash "$STATE")
    if [[ ! -L $data ]]; then
        mkdir -p "$data"
        chmod "$(folder_mode)" "$data"
        if prepare_servers "$data"; then return 0; fi
        [[ ! -e $data/postgres ]] || die "the user $POSTGRES_USER can no longer reach $data; the cluster in it is left alone"
        rm -rf "$data"
    elif [[ $(readlink "$data") != "$elsewhere" ]]; then
        die "$data points to $(readlink "$data"), which no make run has made; remove or repair that link"
    fi
    own_folder "$elsewhere" 0755
    ln -sfn "$elsewhere" "$data"
    say "The servers' users cannot reach $STATE; their data is in $elsewhere (linked as data)"
    prepare_servers "$elsewhere" || die "the servers' users cannot reach $elsewhere either"
}

settings() {
    if [[ -z ${MASTER_KEY:-} ]]; then
        if [[ ! -s $STATE/master.key ]]; then
            (
                umask 077
                head -c 32 /dev/urandom | base64 >"$STATE/master.key.new"
            )
            mv "$STATE/master.key.new" "$STATE/master.key"
        fi
        MASTER_KEY=$(<"$STATE/master.key")
    fi
    export DATABASE_URL DATABASE_OWNER_URL REDIS_URL MASTER_KEY PORT HOST
    export PUBLIC_URL=${PUBLIC_URL:-$URL} POLICIES_DIR=${POLICIES_DIR:-$ROOT/policies} MIGRATIONS_DIR=${MIGRATIONS_DIR:-$ROOT/migrations}
}

serve() {
    spawn TERM "" "" "$GATEWAY_BIN" serve
    GATEWAY_PID=$SPAWNED
    record_process "$RUN/gateway.pid" "$GATEWAY_PID" "$GATEWAY_BIN"
    local deadline=$((SECONDS + 60)) status=0
    until curl --silent --fail --max-time 2 --output /dev/null "$URL/health"; do
        if ! alive "$GATEWAY_PID"; then
            wait "$GATEWAY_PID" || status=$?
            die "the gateway ended with status $status before it served; its log is above"
        fi
        ((SECONDS < deadline)) || die "the gateway did not answer $URL/health within 60 s; its log is above"
        sleep 0.1
    done
    demo_key
    welcome
    # From here on being stopped is the way it ends, no failure.
    trap 'exit 0' INT TERM HUP
    wait "$GATEWAY_PID" || status=$?
    GATEWAY_PID=
    die "the gateway ended by itself with status $status"
}

# The tenant's key is shown once, so it is kept in a file of mode 0600. A key that the database does not know (data
# removed, another DATABASE_URL) is replaced.
demo_key() {
    HSAFA_URL=$URL
    HSAFA_API_KEY=$(credential HSAFA_API_KEY || true)
    if [[ -n $HSAFA_API_KEY ]]; then
        local status
        status=$(api GET "/api/agents?limit=1" | tail -n 1)
        [[ $status == 401 ]] || {
            write_credentials
            return 0
        }
        say "The key in $STATE/credentials is unknown to this database; making another"
    fi
    (umask 077 && : >"$STATE/credentials.new")
    run_child "$GATEWAY_BIN" keys create --tenant demo --json >"$STATE/credentials.new"
    HSAFA_API_KEY=$(json_field key <"$STATE/credentials.new")
    [[ -n $HSAFA_API_KEY ]] || die "no key in the answer of: hsafa-gateway keys create --tenant demo --json"
    write_credentials
}

write_credentials() {
    (
        umask 077
        printf 'HSAFA_URL=%s\nHSAFA_API_KEY=%s\n' "$HSAFA_URL" "$HSAFA_API_KEY" >"$STATE/credentials.new"
    )
    mv "$STATE/credentials.new" "$STATE/credentials"
}

welcome() {
    cat <<END

The gateway serves $URL   (API: $URL/openapi.yaml)
Tenant demo, key: $HSAFA_API_KEY   (kept in $STATE/credentials)

In a second terminal:
  make demo
  curl -H "Authorization: Bearer $HSAFA_API_KEY" $URL/api/agents

Ctrl-C stops the gateway and the servers that were started for it.

END
}

main
