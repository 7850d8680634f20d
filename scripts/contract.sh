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

write_keys() {
    local name
    {
        echo 'auth:'
        for name in tenant other admin; do
            case $name in
                tenant) key=$HSAFA_API_KEY ;;
                other) key=$OTHER_API_KEY ;;
                admin) key=$HSAFA_ADMIN_KEY ;;
            esac
            printf '  - name: %s\n    fixedHeaders: [{ name: Authorization, value: "Bearer %s" }]\n' "$name" "$key"
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
few=8 more=(--generation-deterministic)
if [[ -n $IS_LONG ]]; then
    few=300
    more=(--seed "$RANDOM" --max-time 1800)
fi
drive tenant tenant --exclude-tag Admin --max-examples "$few" "${more[@]}"
# A check that looks at nothing is none: the other tenant has asked for what this one owns.
(($(grep -oE 'status=404 tenant=[0-9a-f-]{36}' "$GATEWAY_LOG" | sort -u | wc -l) >= 2)) || failed+=(object_level_authorization)
drive admin admin --include-tag Admin --max-examples "$few" "${more[@]}"
# Each key where the other one belongs: 403 everywhere, and nothing else.
drive tenant-as-admin tenant --include-tag Admin --phases coverage
drive admin-as-tenant admin --exclude-tag Admin --phases coverage
# A failure of the gateway's own stands in its log, also where no check looks.
! grep -q ' error request failed' "$GATEWAY_LOG" || { grep ' error ' "$GATEWAY_LOG" | head -n 20 >&2; failed+=(log); }
((${#failed[@]} == 0)) || die "the gateway and openapi.yaml do not agree: ${failed[*]}"
say "The gateway keeps what openapi.yaml says"
