#!/usr/bin/env bash
# `make bench`: the load tests of Benchmarks/ against a release build and throwaway servers with fsync on. Under 6 minutes,
# builds apart. Prints a table and writes it to Benchmarks/RESULTS.md.
#
#   ROWS="get delta"           only these, and RESULTS.md stays: idle get auth append delta fanout runs device limit policy flood revoke size
#   BENCH_LARGE=1              append and claim at a million events and runs too
#   GATEWAY_BIN                a built gateway in place of building one
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

# shellcheck disable=SC2317 # called by the trap
on_exit() { stop_throwaway_servers; }
trap_exit

install_missing build postgres redis load
require_swift
if [[ -z ${GATEWAY_BIN:-} ]]; then
    say "Building the gateway (release)"
    swift_build -c release --product hsafa-gateway
    GATEWAY_BIN=$(swift_bin_path -c release)/hsafa-gateway
fi
say "Building the benchmarks (release)"
run_child swift build -c release --package-path Benchmarks --product hsafa-bench
# A watcher is a descriptor here and one in the gateway.
ulimit -n "$(ulimit -Hn)" || true
(($(ulimit -n) >= 11000)) || warn "10,000 watchers need 11,000 open files; this shell allows $(ulimit -n)"

say "Starting throwaway servers (fsync on)"
start_throwaway_servers on
create_roles hsafa_bench
DATABASE_URL=$(postgres_url hsafa_app hsafa_bench)
DATABASE_OWNER_URL=$(postgres_url hsafa_owner hsafa_bench)
BENCH_SUPERUSER_URL=$(postgres_url postgres hsafa_bench)
REDIS_URL=$(redis_url)
MASTER_KEY=$(head -c 32 /dev/urandom | base64)
POLICIES_DIR=$ROOT/policies
MIGRATIONS_DIR=$ROOT/migrations
BENCH_POSTGRES_PID=$POSTGRES_PID
BENCH_REDIS_PID=$REDIS_PID
BENCH_RESULTS=$ROOT/Benchmarks/RESULTS.md
BENCH_LOGS=$ROOT/Benchmarks/.build/logs
mkdir -p "$BENCH_LOGS"
export DATABASE_URL DATABASE_OWNER_URL BENCH_SUPERUSER_URL REDIS_URL GATEWAY_BIN MASTER_KEY POLICIES_DIR MIGRATIONS_DIR
export BENCH_POSTGRES_PID BENCH_REDIS_PID BENCH_RESULTS BENCH_LOGS
# One tenant is the load of many, and one address that of all their clients.
export LIMIT_REQUESTS_PER_SECOND=100000 LIMIT_REQUEST_BURST=1000000 LIMIT_RUNS_PER_MINUTE=1000000 LIMIT_CONCURRENT_RUNS=256
export LIMIT_STREAMS=20000 LIMIT_DEVICES=20000 MAX_CONNECTIONS_PER_ADDRESS=20000
run_child "$GATEWAY_BIN" migrate
HSAFA_API_KEY=$("$GATEWAY_BIN" keys create --tenant bench --json | json_field key)
export HSAFA_API_KEY
[[ -n $HSAFA_API_KEY ]] || die "no key in the answer of: hsafa-gateway keys create --tenant bench --json"

# shellcheck disable=SC2086 # several names in one variable
run_child Benchmarks/.build/release/hsafa-bench ${ROWS:-}
