#!/usr/bin/env bash
# `make bench`: the load tests of Benchmarks/ against a release build and throwaway servers with fsync on.
#
#   BENCH_FLAGS="…"            flags for hsafa-bench
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

# shellcheck disable=SC2317 # called by the trap
on_exit() { stop_throwaway_servers; }
trap_exit

install_missing build postgres redis curl
require_swift
[[ -e Benchmarks/Package.swift ]] || die "there is no Benchmarks/Package.swift"
say "Building the gateway and the benchmarks (release)"
swift_build -c release --product hsafa-gateway
run_child swift build -c release --package-path Benchmarks --product hsafa-bench

say "Starting throwaway servers (fsync on)"
start_throwaway_servers on
create_roles hsafa_bench
DATABASE_URL=$(postgres_url hsafa_app hsafa_bench)
DATABASE_OWNER_URL=$(postgres_url hsafa_owner hsafa_bench)
BENCH_SUPERUSER_URL=$(postgres_url postgres hsafa_bench)
REDIS_URL=$(redis_url)
GATEWAY_BIN=$(swift_bin_path -c release)/hsafa-gateway
MASTER_KEY=$(head -c 32 /dev/urandom | base64)
POLICIES_DIR=${POLICIES_DIR:-$ROOT/policies}
MIGRATIONS_DIR=$ROOT/migrations
export DATABASE_URL DATABASE_OWNER_URL BENCH_SUPERUSER_URL REDIS_URL GATEWAY_BIN MASTER_KEY POLICIES_DIR MIGRATIONS_DIR
run_child "$GATEWAY_BIN" migrate

# shellcheck disable=SC2086
run_child swift run -c release --package-path Benchmarks hsafa-bench ${BENCH_FLAGS:-}
