#!/usr/bin/env bash
# Shared by the scripts behind the Makefile. Sourced, never run.
#
# Servers that these scripts start are private: their own folders, their own unix sockets, no TCP port, and never
# root. A system Postgres or Redis on the same machine is not touched.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
STATE=${HSAFA_STATE:-$ROOT/.hsafa}
# A unix socket's path must fit into sun_path: 108 bytes with the closing NUL.
readonly MAX_SOCKET_PATH=107

say() { printf '==> %s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# --- what must be installed ------------------------------------------------------------------------------------------

# Prints the apt packages that are missing. They are looked for by what they bring, so that a Postgres from another
# source counts as well. Arguments: any of `build`, `postgres`, `redis`, `load`, `curl`, `python`, `java`,
# `node`, `typescript`, `chromium`, `lint`.
missing_packages() {
    local kind
    for kind in "$@"; do
        case $kind in
            build)
                command -v pkg-config >/dev/null || echo pkg-config
                have_library libpq libpq-fe.h || echo libpq-dev
                have_library hiredis hiredis/hiredis.h || echo libhiredis-dev
                have_library libssl openssl/ssl.h || echo libssl-dev
                have_library libargon2 argon2.h || echo libargon2-dev
                have_library libpcre2-8 pcre2.h || echo libpcre2-dev
                ;;
            postgres) find_postgres >/dev/null || echo postgresql ;;
            redis) command -v redis-server >/dev/null && command -v redis-cli >/dev/null || echo redis-server ;;
            load) command -v wrk >/dev/null || echo wrk ;;
            curl) command -v curl >/dev/null || echo curl ca-certificates ;;
            python) python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv ;;
            java) command -v java >/dev/null || echo default-jre-headless ;;
            node) node_is_new_enough || echo nodejs ;;
            typescript) command -v tsc >/dev/null || echo node-typescript ;;
            lint)
                command -v shellcheck >/dev/null || echo shellcheck
                command -v yamllint >/dev/null || echo yamllint
                ;;
            chromium) command -v chromium >/dev/null || echo chromium fonts-dejavu-core ;;
        esac
    done
}

# Without pkg-config nothing can be asked: the header is looked for.
have_library() {
    if command -v pkg-config >/dev/null; then
        pkg-config --exists "$1"
    else
        [[ -e /usr/include/$2 || -e /usr/local/include/$2 || -e /usr/include/postgresql/$2 ]]
    fi
}

# 18: with fetch and WebStreams.
node_is_new_enough() { (($(node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/' | grep . || echo 0) >= 18)); }

install_missing() {
    local missing=() package
    while read -r package; do
        [[ -n $package ]] && missing+=("$package")
    done < <(missing_packages "$@" | tr ' ' '\n')
    ((${#missing[@]})) || return 0
    command -v apt-get >/dev/null ||
        die "these Debian packages (or what your system calls them) are missing: ${missing[*]}"
    local sudo=()
    if ((EUID != 0)); then
        command -v sudo >/dev/null || die "as root, please run: apt-get install -y ${missing[*]}"
        sudo=(sudo)
    fi
    say "Installing with apt: ${missing[*]}"
    "${sudo[@]}" apt-get update -qq
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

require_swift() {
    command -v swift >/dev/null || die "no swift in PATH: install Swift 6.2 or newer from https://www.swift.org/install/linux/"
}

# The folder with initdb and postgres: PG_BIN, else the newest of Debian's, else pg_config's.
# With an argument: of that major version, for a cluster that exists.
find_postgres() {
    local wanted=${1:-} candidate
    while read -r candidate; do
        [[ -x $candidate/initdb && -x $candidate/postgres ]] || continue
        if [[ -z $wanted ]] || "$candidate/postgres" --version | grep -Eq " $wanted([. ]|\$)"; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done < <(
        if [[ -n ${PG_BIN:-} ]]; then printf '%s\n' "$PG_BIN"; fi
        printf '%s\n' /usr/lib/postgresql/*/bin | sort -Vr
        if command -v pg_config >/dev/null; then pg_config --bindir; fi
        if command -v initdb >/dev/null; then dirname "$(command -v initdb)"; fi
    )
    return 1
}

# --- processes -------------------------------------------------------------------------------------------------------

# Running, and not merely waiting to be reaped.
alive() {
    local state
    state=$(sed -n 's/^State:[[:space:]]*\([A-Z]\).*/\1/p' "/proc/$1/status" 2>/dev/null) || return 1
    [[ -n $state && $state != Z && $state != X ]]
}

# spawn <signal> <user or ""> <log or ""> <command…>: starts a command in the background, its pid in SPAWNED.
#
# It gets a session of its own, so that Ctrl-C reaches only the script, which then stops its children in their order.
# If the script itself is killed, the kernel sends <signal> to the child. Never call it in a subshell: the end of
# that subshell would count as the end of the script.
spawn() {
    local signal=$1 user=$2 log=$3
    shift 3
    local prefix=(setsid)
    if command -v setpriv >/dev/null; then
        prefix+=(setpriv --pdeathsig "$signal")
        [[ -z $user ]] || prefix+=("--reuid=$user" "--regid=$(id -g "$user")" --init-groups --reset-env)
    elif [[ -n $user ]]; then
        prefix+=(runuser -u "$user" --)
    fi
    # 9 is the lock of `make run`: a child that kept it would hold the lock after the script's death.
    if [[ -n $log ]]; then
        "${prefix[@]}" "$@" </dev/null >>"$log" 2>&1 9>&- &
    else
        "${prefix[@]}" "$@" </dev/null 9>&- &
    fi
    SPAWNED=$!
}

# run_child <command…>: a long command in the foreground which a signal to the script ends at once, with its children.
CHILD=
run_child() {
    local status=0
    spawn TERM "" "" "$@"
    CHILD=$SPAWNED
    wait "$CHILD" || status=$?
    # What it has started and left, also in process groups of their own: `swift test` gives its tests one.
    end_session "$CHILD"
    CHILD=
    return "$status"
}

# end_session <id>: SIGKILL to whatever is left of a session; a session has the number of the process that began it.
end_session() {
    local file stat
    for file in /proc/[0-9]*/stat; do
        read -r stat 2>/dev/null <"$file" || continue
        # The name, in parentheses, may hold anything; after it come the state, the parent, the group, the session.
        read -ra stat <<<"${stat##*) }"
        # shellcheck disable=SC2128 # an array from here on
        [[ ${stat[3]} != "$1" ]] || { file=${file#/proc/} && kill -KILL "${file%/stat}" 2>/dev/null; } || true
    done
}

stop_child() {
    [[ -n $CHILD ]] || return 0
    kill -TERM -- "-$CHILD" 2>/dev/null || true
    stop_process "$CHILD" TERM 10 KILL
    end_session "$CHILD"
    CHILD=
}

# stop_process <pid> <signal> <seconds> <signal after that>: returns when the process is gone.
stop_process() {
    local pid=$1 deadline=$((SECONDS + $3))
    alive "$pid" || return 0
    kill -s "$2" "$pid" 2>/dev/null || true
    while alive "$pid"; do
        if ((SECONDS >= deadline)); then
            warn "process $pid did not end within $3 s; sending $4"
            kill -s "$4" "$pid" 2>/dev/null || true
            deadline=$((SECONDS + 5))
            set -- "$pid" KILL 5 KILL
        fi
        sleep 0.05
    done
}

# A pid file says: pid, start time, and a word of the command line. All three must fit before a process counts as the
# one that was recorded: a pid alone may belong to a stranger by now.
record_process() { # <file> <pid> <word>
    printf '%s %s %s\n' "$2" "$(start_time "$2")" "$3" >"$1"
}

# Clock ticks since boot, field 22; the name in field 2 may hold spaces.
start_time() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
    # shellcheck disable=SC2086 # numbers, to be split
    set -- ${stat##*) }
    printf '%s' "${20}"
}

# Prints the pid of a recorded process that still runs; false if there is none.
recorded_process() { # <file>
    local pid started word
    read -r pid started word 2>/dev/null <"$1" || return 1
    [[ $pid =~ ^[0-9]+$ && -n $started && -n $word ]] && ((pid > 1)) && alive "$pid" || return 1
    [[ $(start_time "$pid") == "$started" ]] || return 1
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "$word" || return 1
    printf '%s\n' "$pid"
}

# run_as <user or ""> <command…>
run_as() {
    local user=$1
    shift
    if [[ -z $user ]]; then
        "$@"
    elif command -v setpriv >/dev/null; then
        setpriv "--reuid=$user" "--regid=$(id -g "$user")" --init-groups --reset-env "$@"
    else
        runuser -u "$user" -- "$@"
    fi
}

# Ends the script on a signal by way of its EXIT trap: `on_exit` is the script's own.
trap_exit() {
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
    trap 'trap "" INT TERM HUP; stop_child; on_exit' EXIT
}

port_in_use() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# A folder of this name that is ours, or an end: in /tmp and /var/tmp anyone could have made it before us.
own_folder() {
    local folder=$1 mode=$2
    mkdir -m "$mode" "$folder" 2>/dev/null || true
    [[ -d $folder && ! -L $folder && -O $folder ]] || die "$folder exists, but is no folder of the user $(id -un)"
    chmod "$mode" "$folder"
}

# --- private servers -------------------------------------------------------------------------------------------------

# Who runs the servers: nobody else when we are not root; otherwise the users that their packages made.
server_user() {
    ((EUID == 0)) || return 0
    local user
    for user in "$@"; do
        if id "$user" >/dev/null 2>&1; then
            printf '%s\n' "$user"
            return 0
        fi
    done
    die "as root, the servers need a user to run as; none of these exists: $*"
}

server_folder() { # <folder> <user or "">
    mkdir -p "$1"
    [[ -z $2 ]] || chown "$2:" "$1"
    chmod 0700 "$1"
}

# prepare_servers <base>: the folders below base. Sets SERVER_BASE, SOCKETS and the users; false if a server's user
# cannot reach its folder (a repository below /root, for example).
#
# Each socket lies in a folder of mode 0700 that belongs to the server's user. That folder is the whole access
# control: who can reach the socket is trusted, under any role. When root starts the servers, two can reach it, the
# server's user and root.
prepare_servers() {
    SERVER_BASE=$1
    POSTGRES_USER=$(server_user postgres) || exit 1
    REDIS_USER=$(server_user redis postgres) || exit 1
    SOCKETS=$SERVER_BASE/sockets
    SHORT_SOCKETS=
    local longest="$SOCKETS/postgres/.s.PGSQL.5432.lock"
    # Names that need escaping in a URL take the short road too.
    if ((${#longest} > MAX_SOCKET_PATH)) || [[ $SOCKETS =~ [^A-Za-z0-9/._-] ]]; then
        SHORT_SOCKETS=/tmp/hsafa-$EUID-$(path_hash "$SERVER_BASE")
        own_folder "$SHORT_SOCKETS" "$(folder_mode)"
        SOCKETS=$SHORT_SOCKETS
    fi
    local folder user
    for folder in "$SOCKETS/postgres" "$SOCKETS/redis" "$SERVER_BASE/redis"; do
        user=$REDIS_USER
        [[ $folder == */redis ]] || user=$POSTGRES_USER
        server_folder "$folder" "$user" 2>/dev/null && run_as "$user" test -w "$folder" || return 1
    done
}

# Folders above the servers' own: another user must pass through them only when root starts the servers.
folder_mode() { if ((EUID == 0)); then echo 0755; else echo 0700; fi; }

path_hash() { printf '%s' "$1" | sha256sum | cut -c1-12; }

# start_postgres <log> <fsync on|off> <max_connections>
start_postgres() {
    local log=$1 fsync=$2 connections=$3 data=$SERVER_BASE/postgres version=
    [[ ! -s $data/PG_VERSION ]] || version=$(<"$data/PG_VERSION")
    PG_BIN=$(find_postgres "$version") ||
        die "the cluster in $data needs PostgreSQL $version, which is not installed; install it, or remove $STATE to start afresh"
    if [[ -z $version ]]; then
        # A cluster is there whole or not at all, whatever interrupts us.
        rm -rf "$data.new"
        server_folder "$data.new" "$POSTGRES_USER"
        local nosync=()
        [[ $fsync == on ]] || nosync=(--no-sync)
        run_as "$POSTGRES_USER" "$PG_BIN/initdb" --pgdata="$data.new" --username=postgres --auth=trust --encoding=UTF8 \
            --locale=C.UTF-8 "${nosync[@]}" </dev/null >>"$log" 2>&1 || { tail -n 20 "$log" >&2; die "initdb failed; its log is $log"; }
        mv "$data.new" "$data"
    fi
    local settings=(-c listen_addresses= -c port=5432 -c unix_socket_permissions=0700 -c "max_connections=$connections"
        -c "fsync=$fsync" -c log_min_messages=warning)
    [[ $fsync == on ]] || settings+=(-c synchronous_commit=off -c full_page_writes=off)
    remove_dead_lock "$data"
    # INT is Postgres' fast shutdown; TERM would wait for every client to leave.
    spawn INT "$POSTGRES_USER" "$log" "$PG_BIN/postgres" -D "$data" -k "$SOCKETS/postgres" "${settings[@]}"
    POSTGRES_PID=$SPAWNED
    [[ -z ${PID_FOLDER:-} ]] || record_process "$PID_FOLDER/postgres.pid" "$POSTGRES_PID" "$data"
    await_server Postgres "$POSTGRES_PID" "$log" "$PG_BIN/pg_isready" -q -h "$SOCKETS/postgres" -p 5432 -d postgres -U postgres
}

# A killed postmaster's lock file names a pid that Postgres believes in while it is a zombie (a container whose first
# process does not reap) or belongs to another program. Nobody else starts this cluster, so once no process has its
# folder as working directory, as every process of Postgres does, the file is rubbish.
remove_dead_lock() {
    local data=$1 deadline=$((SECONDS + 30)) pid
    [[ -s $data/postmaster.pid ]] || return 0
    while pid=$(process_in "$data"); do
        ((SECONDS < deadline)) || die "process $pid still works in $data, and is not one that make run knows of; please end it"
        sleep 0.1
    done
    rm -f "$data/postmaster.pid"
}

# Prints a running process whose working directory is the folder; false if there is none.
process_in() {
    local link
    for link in /proc/[0-9]*/cwd; do
        if [[ $(readlink "$link" 2>/dev/null) == "$1" ]]; then
            link=${link%/cwd}
            ! alive "${link##*/}" || { printf '%s\n' "${link##*/}"; return 0; }
        fi
    done
    return 1
}

# start_redis <log> <save rule, or "">
start_redis() {
    local log=$1 save=$2
    spawn TERM "$REDIS_USER" "$log" "$(command -v redis-server)" --port 0 --unixsocket "$SOCKETS/redis/redis.sock" \
        --unixsocketperm 700 --dir "$SERVER_BASE/redis" --dbfilename dump.rdb --save "$save" --appendonly no \
        --maxmemory-policy noeviction --daemonize no --loglevel warning
    REDIS_PID=$SPAWNED
    # Redis shows its socket in place of its arguments, though not at once.
    [[ -z ${PID_FOLDER:-} ]] || record_process "$PID_FOLDER/redis.pid" "$REDIS_PID" redis-server
    await_server Redis "$REDIS_PID" "$log" redis_answers
}

redis_answers() { [[ $(redis-cli -s "$SOCKETS/redis/redis.sock" ping 2>/dev/null) == PONG ]]; }

# await_server <name> <pid> <log> <probe…>: up to 60 s, which a recovery after a crash may need.
await_server() {
    local name=$1 pid=$2 log=$3 deadline=$((SECONDS + 60))
    shift 3
    until "$@" >/dev/null 2>&1; do
        if ! alive "$pid" || ((SECONDS >= deadline)); then
            tail -n 20 "$log" >&2
            die "$name did not start; its log is $log"
        fi
        sleep 0.05
    done
}

# Redis first: it has nothing that Postgres needs.
stop_servers() {
    if [[ -n ${REDIS_PID:-} ]]; then
        stop_process "$REDIS_PID" TERM 10 KILL
        [[ -z ${PID_FOLDER:-} ]] || rm -f "$PID_FOLDER/redis.pid"
    fi
    if [[ -n ${POSTGRES_PID:-} ]]; then
        stop_process "$POSTGRES_PID" INT 30 QUIT
        [[ -z ${PID_FOLDER:-} ]] || rm -f "$PID_FOLDER/postgres.pid"
    fi
    REDIS_PID='' POSTGRES_PID=''
    [[ -z ${SHORT_SOCKETS:-} ]] || rm -rf "$SHORT_SOCKETS"
}

# create_roles <database>: the three roles and the database, as often as one likes.
create_roles() {
    superuser_psql postgres -v database="$1" -f "$ROOT/scripts/roles.sql" >/dev/null
}

superuser_psql() { # <database> <psql arguments…>
    local database=$1
    shift
    PGOPTIONS="-c client_min_messages=warning" "$PG_BIN/psql" -X -q -P pager=off -v ON_ERROR_STOP=1 -h "$SOCKETS/postgres" -p 5432 \
        -U postgres -d "$database" "$@"
}

postgres_url() { printf 'postgresql://%s@/%s?host=%s' "$1" "$2" "$SOCKETS/postgres"; }
redis_url() { printf 'unix://%s' "$SOCKETS/redis/redis.sock"; }

# What a shell may have set for another server must not reach ours.
clear_postgres_environment() {
    unset PGHOST PGHOSTADDR PGPORT PGUSER PGDATABASE PGPASSWORD PGPASSFILE PGSERVICE PGSERVICEFILE PGOPTIONS PGSSLMODE PGDATA
}

# start_throwaway_servers <fsync on|off>: both servers in a folder of their own, which stop_throwaway_servers removes.
start_throwaway_servers() {
    clear_postgres_environment
    THROWAWAY=$(mktemp -d "${TMPDIR:-/tmp}/hsafa-servers.XXXXXX")
    chmod "$(folder_mode)" "$THROWAWAY"
    if ! prepare_servers "$THROWAWAY"; then
        # A TMPDIR that the servers' users cannot reach.
        rm -rf "$THROWAWAY"
        THROWAWAY=$(mktemp -d /tmp/hsafa-servers.XXXXXX)
        chmod "$(folder_mode)" "$THROWAWAY"
        prepare_servers "$THROWAWAY" || die "the servers' users cannot reach $THROWAWAY"
    fi
    start_postgres "$THROWAWAY/postgres.log" "$1" 2000
    start_redis "$THROWAWAY/redis.log" ""
}

stop_throwaway_servers() {
    stop_servers
    [[ -z ${THROWAWAY:-} ]] || rm -rf "$THROWAWAY"
}

# --- builds ----------------------------------------------------------------------------------------------------------

# `make check`, `make test` and `CONFIGURATION=debug make run` share one debug build, so all of them go through here
# with the same compiler flags: another -Xswiftc would compile every dependency again.
#
# What serves (release) carries Swift's runtime in itself, as the image's binary does: calls into it need no table, which a
# request notices (docs/decisions/0051).
swift_build() {
    # shellcheck disable=SC2046,SC2086 # several flags in one variable
    run_child swift build ${SWIFT_BUILD_FLAGS:-} $(release_flags "$@") "$@"
}

swift_bin_path() {
    # shellcheck disable=SC2046,SC2086
    swift build ${SWIFT_BUILD_FLAGS:-} $(release_flags "$@") "$@" --show-bin-path
}

release_flags() { [[ " $* " != *" -c release "* ]] || echo --static-swift-stdlib; }

# python_environment <name> <requirements>: .venv/<name> with just what is pinned, made anew when the file changes; its bin in PYTHON_BIN.
python_environment() {
    local folder=$ROOT/.venv/$1 wanted
    wanted=$(python3 --version 2>&1 && sha256sum <"$2")
    PYTHON_BIN=$folder/bin
    if [[ $(cat "$folder/made-of" 2>/dev/null) == "$wanted" ]] && "$PYTHON_BIN/python" -c '' 2>/dev/null; then return 0; fi
    say "Installing $2 into .venv/$1"
    rm -rf "$folder"
    run_child python3 -m venv "$folder"
    run_child "$PYTHON_BIN/python" -m pip install --quiet --disable-pip-version-check --no-deps --requirement "$2"
    printf '%s\n' "$wanted" >"$folder/made-of"
}

# --- small things ----------------------------------------------------------------------------------------------------

# json_field <name>: the string of that name on stdin. For our own small answers, where jq may be missing.
json_field() { tr -d '\n' | sed -n 's/.*"'"$1"'"[[:space:]]*:[[:space:]]*"\([^"]*\)".*/\1/p'; }

# credential <name>: a line of .hsafa/credentials.
credential() { [[ -r $STATE/credentials ]] && sed -n "s/^$1=//p" "$STATE/credentials"; }

# api <method> <path> [<body>]: the answer's body, then its status on a line of its own. The key goes by
# stdin, so that no process list shows it.
api() {
    local arguments=(--silent --show-error --max-time 15 --request "$1" --write-out '\n%{http_code}' --config -)
    [[ $# -lt 3 ]] || arguments+=(--header 'Content-Type: application/json' --data-binary "$3")
    printf 'header = "Authorization: Bearer %s"\n' "$HSAFA_API_KEY" | curl "${arguments[@]}" "$HSAFA_URL$2"
}
