#!/usr/bin/env bash
# `make browser-test`: the page of examples/browser in headless Chromium, against a live gateway.
#
#   GATEWAY_BIN   a built gateway in place of building one, with hsafa beside it
#   PICTURES      a folder for pictures of the page, light and dark, on a desk and on a phone
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source "$(dirname "${BASH_SOURCE[0]}")/throwaway-gateway.sh"
cd "$ROOT"

# shellcheck disable=SC2317 # called by the trap
on_exit() { stop_throwaway_gateway; }
trap_exit

install_missing python postgres redis curl chromium
python_environment browser Tests/Browser/requirements.txt
find_gateway
HSAFA_BIN=$(dirname "$GATEWAY_BIN")/hsafa
if [[ ! -x $HSAFA_BIN ]]; then
    say "Building hsafa (debug)"
    swift_build --product hsafa
fi
export HSAFA_BIN
say "Starting a gateway on throwaway servers"
start_throwaway_gateway hsafa_browser
say "The page of examples/browser, in Chromium"
run_child timeout 600 "$PYTHON_BIN/python" Tests/Browser/drive.py ${PICTURES:+"$PICTURES"}
# What a browser puts into an address must not come into a log.
! grep -nE 'token=|hrt_[0-9A-Za-z]{12}_' "$GATEWAY_LOG" || die "a run token in the gateway's log"
say "The page works"
