#!/usr/bin/env bash
# `make demo`: against the gateway of `make run`, one run whose tools execute on a device: this machine.
#
#   OPENAI_BASE_URL, OPENAI_API_KEY, OPENAI_MODEL   a real model in place of the simulated one
#   HSAFA_BIN                                       a built hsafa in place of building one
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

DEVICE=$STATE/demo-device
LOG=$STATE/demo-device.log
QUESTION=${QUESTION:-What runs on this machine?}
CONNECTION=
SCRATCH=

# shellcheck disable=SC2317 # called by the trap
on_exit() {
    [[ -z $CONNECTION ]] || stop_process "$CONNECTION" TERM 10 KILL
    [[ -z $SCRATCH ]] || rm -rf "$SCRATCH"
}

main() {
    [[ -r $STATE/credentials ]] || die "there is no $STATE/credentials: start the gateway first, with make run in another terminal"
    HSAFA_URL=$(credential HSAFA_URL)
    HSAFA_API_KEY=$(credential HSAFA_API_KEY)
    export HSAFA_URL HSAFA_API_KEY
    curl --silent --fail --max-time 5 --output /dev/null "$HSAFA_URL/health" ||
        die "nothing answers at $HSAFA_URL: start the gateway first, with make run in another terminal"
    trap_exit
    SCRATCH=$(mktemp -d)
    find_client
    known_device || enroll
    if ! connect; then
        say "The gateway does not take this device any more; enrolling it again"
        enroll
        connect || { tail -n 20 "$LOG" >&2; die "the device did not register; its log is $LOG"; }
    fi
    agent_config
    say "Publishing $CONFIG"
    "$HSAFA_BIN" publish "$CONFIG"
    say "Asking: $QUESTION"
    run_child "$HSAFA_BIN" run device-demo "$QUESTION"
    say "The run completed. Its tools ran on this machine, through the device connection in $LOG"
}

find_client() {
    [[ -z ${HSAFA_BIN:-} ]] || return 0
    HSAFA_BIN=$(cat "$STATE/hsafa.path" 2>/dev/null || true)
    [[ ! -x $HSAFA_BIN ]] || return 0
    require_swift
    say "Building hsafa"
    swift_build -c "${CONFIGURATION:-release}" --product hsafa
    HSAFA_BIN=$(swift_bin_path -c "${CONFIGURATION:-release}")/hsafa
}

# Enrolled before, and the gateway still knows it under this tenant.
known_device() {
    local id
    id=$(cat "$DEVICE/demo-device-id" 2>/dev/null) || return 1
    [[ $(api GET "/api/devices/$id" | tail -n 1) == 200 ]]
}

enroll() {
    local answer status token id
    answer=$(api POST /api/devices/enrollment-tokens '{"labels":{"zone":"demo"},"allowedTools":["fs.read","uname"],"autoApprove":true}')
    status=$(tail -n 1 <<<"$answer")
    [[ $status == 20? ]] || die "the gateway made no enrolment token: $answer"
    token=$(grep -Eo 'hse_[0-9A-Za-z_]+' <<<"$answer" | head -n 1)
    [[ -n $token ]] || die "no enrolment token in the gateway's answer"
    rm -rf "$DEVICE"
    (umask 077 && mkdir "$DEVICE")
    say "Enrolling this machine as a device"
    # A device key belongs to one device for good, so each enrolment takes a new one.
    answer=$("$HSAFA_BIN" device enroll --state "$DEVICE" --token "$token" --device-key "demo-$(date +%s)-$$")
    printf '%s\n' "$answer"
    id=$(grep -Eio '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}' <<<"$answer" | head -n 1)
    [[ -n $id ]] || die "hsafa device enroll printed no device id"
    echo "$id" >"$DEVICE/demo-device-id"
}

# In the background until the end of this script; returns when the gateway has registered it.
connect() {
    : >"$LOG"
    spawn TERM "" "$LOG" "$HSAFA_BIN" device connect --state "$DEVICE" --tools "$ROOT/examples/demo/tools.json"
    CONNECTION=$SPAWNED
    local deadline=$((SECONDS + 20))
    until grep -q 'connected session' "$LOG"; do
        if ! alive "$CONNECTION" || ((SECONDS >= deadline)); then
            stop_process "$CONNECTION" TERM 10 KILL
            CONNECTION=
            return 1
        fi
        sleep 0.1
    done
    say "The device is connected"
}

# The example's agent, with the model of the environment if there is one. The key is part of that version's config, which
# holders of agents:read can see: use a key made for trying things.
agent_config() {
    CONFIG=$ROOT/examples/demo/agent.json
    [[ -n ${OPENAI_BASE_URL:-} && -n ${OPENAI_API_KEY:-} ]] || return 0
    CONFIG=$SCRATCH/agent.json
    model=$(printf '{"provider":"openai-compatible","name":"%s","baseURL":"%s","apiKey":"%s"}' \
        "$(json_escape "${OPENAI_MODEL:-gpt-4.1-mini}")" "$(json_escape "$OPENAI_BASE_URL")" "$(json_escape "$OPENAI_API_KEY")") \
        awk -f "$ROOT/scripts/replace-model.awk" "$ROOT/examples/demo/agent.json" >"$CONFIG" ||
        die "examples/demo/agent.json has no model"
}

json_escape() { printf '%s' "$1" | sed 's/\\/\\\\/g; s/"/\\"/g'; }

main
