#!/usr/bin/env bash
# `make test`: builds the tests, then runs them against throwaway servers, which are stopped whatever happens.
#
#   FILTER=RunMachine          only the tests whose name matches
#   SWIFT_TEST_FLAGS="…"       more flags for swift test
#   TEST_MINUTES=15            after which a module is ended that still runs
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

# shellcheck disable=SC2317 # called by the trap
on_exit() {
    stop_throwaway_servers
    # Kept where something failed: they say why.
    [[ -z ${TEST_LOG_DIRECTORY:-} || ${has_failed:-1} == 1 ]] || rm -rf "$TEST_LOG_DIRECTORY"
}
trap_exit

install_missing build postgres redis python curl
require_swift
scripts/mcp-servers.sh
scripts/webhooks-python.sh
say "Building the tests"
swift_build --build-tests

say "Starting throwaway servers"
start_throwaway_servers off
create_roles hsafa_test
superuser_psql postgres -c 'CREATE DATABASE drivertests'

# Postgres' and Redis' own tests use the superuser; everything above them the two roles of a deployment.
TEST_DATABASE_URL=$(postgres_url postgres drivertests)
TEST_SUPERUSER_URL=$(postgres_url postgres hsafa_test)
TEST_OWNER_URL=$(postgres_url hsafa_owner hsafa_test)
TEST_APP_URL=$(postgres_url hsafa_app hsafa_test)
TEST_REDIS_URL=$(redis_url)
TEST_PG_BIN=$PG_BIN
TEST_BIN=$(swift_bin_path -c debug)
# Every gateway of the suites logs into here, and what must be in no log is noted beside it.
TEST_LOG_DIRECTORY=$(mktemp -d "${TMPDIR:-/tmp}/hsafa-test-logs.XXXXXX")
TEST_MASTER_KEY=$(head -c 32 /dev/urandom | base64)
echo "$TEST_MASTER_KEY" >"$TEST_LOG_DIRECTORY/known-secrets"
# Another implementation checks what the gateway signs.
TEST_WEBHOOKS_PYTHON=$ROOT/.venv/webhooks/bin/python
export TEST_LOG_DIRECTORY TEST_MASTER_KEY TEST_WEBHOOKS_PYTHON
export TEST_DATABASE_URL TEST_SUPERUSER_URL TEST_OWNER_URL TEST_APP_URL TEST_REDIS_URL TEST_PG_BIN TEST_BIN

# One module after the other: the tests of one run beside each other, and a module that starves a server on purpose must not make
# another one's deadlines late. All modules run, also after a failure.
if [[ -n ${FILTER:-} ]]; then
    filters=("$FILTER")
else
    filters=()
    for folder in Tests/*Tests; do
        # Half of the HTTP suites at a time: most tests have gateways of their own, and all of a run begin at once.
        case $(basename "$folder") in
            HTTPTests) filters+=('^HTTPTests\.[A-K]' '^HTTPTests\.[L-Z]') ;;
            *) filters+=("^$(basename "$folder")\\.") ;;
        esac
    done
fi
# A test that hangs stops neither the others nor the whole: its module is ended, and what was under way is named.
TEST_MINUTES=${TEST_MINUTES:-15}
module_log=$THROWAWAY/module.log
run_module() {
    local status=0
    # shellcheck disable=SC2086 # several flags in one variable
    run_child stdbuf --output=L timeout --kill-after=30 "${TEST_MINUTES}m" \
        swift test ${SWIFT_BUILD_FLAGS:-} --skip-build --disable-xctest --filter "$1" ${SWIFT_TEST_FLAGS:-} \
        > >(tee "$module_log") || status=$?
    ((status == 124 || status == 137)) || return "$status"
    warn "$1 did not end within $TEST_MINUTES minutes; still under way:"
    awk '{ name = $0; sub(/^[^ ]+ (Test|Suite) /, "", name) }
        / started\.$/ && !/ case passing / { sub(/ started\.$/, "", name); open[name] = 1 }
        / (passed|failed|skipped)/ { sub(/ (with [0-9]+ test cases? )?(passed|failed|skipped).*$/, "", name); delete open[name] }
        END { for (name in open) print "    " name }' "$module_log" >&2
    return "$status"
}
failed=()
for filter in "${filters[@]}"; do
    say "Testing $filter"
    run_module "$filter" || failed+=("$filter")
done
((${#failed[@]} == 0)) || die "failed: ${failed[*]} (the gateways' logs: $TEST_LOG_DIRECTORY)"
search_logs() {
    say "Searching the logs for secrets"
    scripts/search-logs.sh "$TEST_LOG_DIRECTORY" "$@" || die "secrets in the log: $TEST_LOG_DIRECTORY"
}
if [[ -n ${FILTER:-} ]]; then
    search_logs --partial
    has_failed=0
    say "All ${#filters[@]} modules passed"
    exit 0
fi
say "All ${#filters[@]} modules passed"

# From outside: the description driven by a tool that is not ours, and the clients that are made of it.
stop_throwaway_servers
THROWAWAY=
export GATEWAY_BIN=$TEST_BIN/hsafa-gateway
run_child scripts/contract.sh
run_child scripts/sdk-test.sh
run_child scripts/browser-test.sh
search_logs
has_failed=0
say "The contract holds, and the clients and the page work"
