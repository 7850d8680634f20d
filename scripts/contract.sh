#!/usr/bin/env bash
# `make contract`: schemathesis drives a live gateway with what openapi.yaml describes, and holds every answer to it. About a minute, the
# same requests each time. `make contract-long` (contract.sh --long): many more of them, other ones each time.
#
#   GATEWAY_BIN         a built gateway in place of building one
#   CONTRACT_FLAGS      more flags for schemathesis, e.g. --include-operation-id createRun
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$(dirname "${BASH_SOURCE[0]}")/throwaway-gateway.sh"
cd "$ROOT"

SCRATCH=
# shellcheck disable=SC2317 # called by the trap
on_exit() {
    stop_throwaway_gateway
    [[ -z $SCRATCH ]] || rm -rf "$SCRATCH"
}
trap_exit

IS_LONG=
[[ ${1:-} != --long ]] || IS_LONG=1

# Fields of a key and of its tenant, for the hooks: what drives the test must not end itself.
own_ids() { # <path> <field>: every id of that field, one a line
    curl --silent --fail --max-time 15 --header "Authorization: Bearer $HSAFA_ADMIN_KEY" "$HSAFA_URL$1" | grep -oE "\"$2\":\"[^\"]+\"" | cut -d '"' -f 4
}

key_of() {
    case $1 in
        tenant) printf '%s' "$HSAFA_API_KEY" ;;
        other) printf '%s' "$OTHER_API_KEY" ;;
        admin) printf '%s' "$HSAFA_ADMIN_KEY" ;;
        page) printf '%s' "$PAGE_TOKEN" ;;
    esac
}

# A token with all grants, of a run that waits for its page longer than this takes: of a tenant that nothing else here touches.
make_page_token() {
    local key run
    key=$(first_key --tenant page)
    post() {
        curl --silent --fail --max-time 60 --header "Authorization: Bearer $key" --header 'Content-Type: application/json' \
            --data "$2" "$HSAFA_URL$1"
    }
    post /api/agents '{"name":"waiting-for-a-page","config":{"version":"1.0","agent":{"name":"waiting-for-a-page"},
        "model":{"provider":"simulated","script":{"steps":[{"toolCalls":[{"name":"ask","arguments":{}}]}]}},
        "tools":[{"name":"ask","target":"browser","timeoutSeconds":3600}]}}' >/dev/null || die "no agent for the page's token"
    run=$(post /api/runs '{"agentName":"waiting-for-a-page","initialMessages":[{"role":"user","content":"Go."}]}' | json_field runId)
    PAGE_TOKEN=$(post "/api/runs/$run/tokens" '{"grants":["tools","approvals"],"expiresSeconds":3600}' | json_field token)
    [[ -n $PAGE_TOKEN ]] || die "the page's token cannot be made"
    [[ -z ${TEST_LOG_DIRECTORY:-} ]] || printf '%s\n' "$key" "$PAGE_TOKEN" >>"$TEST_LOG_DIRECTORY/known-secrets"
    printf '  - name: page\n    fixedHeaders: [{ name: Authorization, value: "Bearer %s" }]\n' "$PAGE_TOKEN" >>"$CONTRACT_KEYS"
}

write_keys() {
    local name
    {
        echo 'auth:'
        for name in tenant other admin; do
            printf '  - name: %s\n    fixedHeaders: [{ name: Authorization, value: "Bearer %s" }]\n' "$name" "$(key_of "$name")"
        done
    } >"$SCRATCH/keys.yaml"
    local tenants tenant
    tenants=$(own_ids "/api/admin/tenants?limit=200" tenantId)
    CONTRACT_OWN_TENANT_IDS=$(tr '\n' ' ' <<<"$tenants")
    CONTRACT_OWN_KEY_IDS=$(for tenant in $tenants; do own_ids "/api/admin/tenants/$tenant/keys?limit=200" keyId; done | tr '\n' ' ')
    [[ -n $CONTRACT_OWN_KEY_IDS ]] || die "the driving keys' ids cannot be read"
    export CONTRACT_OWN_TENANT_IDS CONTRACT_OWN_KEY_IDS
    export CONTRACT_KEYS=$SCRATCH/keys.yaml CONTRACT_HOOKS=$ROOT/Tests/Schemathesis/hooks.py
}

# wrong_door <name> <user> <schemathesis arguments…>: each operation is tried with a key that does not belong there, and refuses it.
wrong_door() {
    export CONTRACT_DOOR=$1 CONTRACT_DOOR_LOG=$SCRATCH/$1.doors
    CONTRACT_DOOR_KEY=$(key_of "$2")
    export CONTRACT_DOOR_KEY
    drive "$@" --phases coverage
    run_child "$PYTHON_BIN/python" Tests/Schemathesis/doors.py "$CONTRACT_DOOR" "$CONTRACT_DOOR_LOG" || failed+=("$1: operations")
    unset CONTRACT_DOOR CONTRACT_DOOR_LOG CONTRACT_DOOR_KEY
}

# drive <name> <user> <schemathesis arguments…>
drive() {
    local name=$1
    export CONTRACT_USER=$2
    shift 2
    say "Contract: $name"
    # shellcheck disable=SC2086 # several flags in one variable
    if run_child "$PYTHON_BIN/schemathesis" --config-file Tests/Schemathesis/schemathesis.toml run openapi.yaml --url "$HSAFA_URL" \
        --no-color "$@" ${CONTRACT_FLAGS:-} >"$SCRATCH/$name.log" 2>&1; then
        grep -E '^  [0-9]+ generated' "$SCRATCH/$name.log" || tail -n 5 "$SCRATCH/$name.log"
    else
        cat "$SCRATCH/$name.log"
        failed+=("$name")
    fi
    alive "$GATEWAY_PID" || { tail -n 40 "$GATEWAY_LOG" >&2; die "the gateway did not live through it"; }
}

install_missing python postgres redis curl
python_environment contract Tests/Schemathesis/requirements.txt
find_gateway
SCRATCH=$(mktemp -d)
say "Starting a gateway on throwaway servers"
start_throwaway_gateway hsafa_contract
write_keys

failed=()
few=8 tenants=(--generation-deterministic) admins=(--generation-deterministic)
if [[ -n $IS_LONG ]]; then
    # Half an hour in all; the seed stands in the log of what fails.
    few=300
    tenants=(--seed "$RANDOM" --max-time 1200)
    admins=(--seed "$RANDOM" --max-time 420)
fi
drive tenant tenant --exclude-tag Admin --max-examples "$few" "${tenants[@]}"
# A check that looks at nothing is none: the other tenant has asked for what this one owns.
(($(grep -oE 'status=404 tenant=[0-9a-f-]{36}' "$GATEWAY_LOG" | sort -u | wc -l) >= 2)) || failed+=(object_level_authorization)
drive admin admin --include-tag Admin --max-examples "$few" "${admins[@]}"
# Each key where another one belongs: 403 or 401 everywhere, and nothing else.
wrong_door tenant-as-admin tenant --include-tag Admin
wrong_door admin-as-tenant admin --exclude-tag Admin
make_page_token
wrong_door page page
# A failure of the gateway's own stands in its log, also where no check looks.
! grep -q ' error request failed' "$GATEWAY_LOG" || { grep ' error ' "$GATEWAY_LOG" | head -n 20 >&2; failed+=(log); }
((${#failed[@]} == 0)) || die "the gateway and openapi.yaml do not agree: ${failed[*]}"
say "The gateway keeps what openapi.yaml says"
