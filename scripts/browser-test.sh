#!/usr/bin/env bash
# `make browser-test`: in headless Chromium, against a live gateway: the page of examples/browser, the page's program of docs/CLIENTS.md, and
# the page at /docs.
#
#   GATEWAY_BIN   a built gateway in place of building one, with hsafa beside it
#   PICTURES      a folder for pictures of the pages, light and dark, on a desk and on a phone
#   PAGES         some of them: "example snippet docs"
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

install_missing python postgres redis curl chromium node typescript
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
SCRATCH=$(mktemp -d)
export PYTHONPATH=$ROOT/Tests/Clients PYTHONDONTWRITEBYTECODE=1
for page in ${PAGES:-example snippet docs}; do
    case $page in
        example)
            say "The page of examples/browser, in Chromium"
            run_child timeout 600 "$PYTHON_BIN/python" Tests/Browser/drive.py ${PICTURES:+"$PICTURES"}
            ;;
        snippet)
            say "The page's program of docs/CLIENTS.md, in Chromium"
            run_child "$PYTHON_BIN/python" Tests/Clients/snippets.py "$SCRATCH"
            run_child tsc --strict --target es2022 --module es2022 --lib es2022,dom "$SCRATCH/page.ts"
            run_child timeout 600 "$PYTHON_BIN/python" Tests/Browser/snippet.py "$SCRATCH"
            ;;
        docs)
            say "The page at /docs, in Chromium"
            run_child timeout 600 "$PYTHON_BIN/python" Tests/Browser/docs.py ${PICTURES:+"$PICTURES"}
            ;;
        *) die "no such page: $page" ;;
    esac
done
# What a browser puts into an address must not come into a log.
! grep -nE 'token=|hrt_[0-9A-Za-z]{12}_' "$GATEWAY_LOG" || die "a run token in the gateway's log"
say "The pages work"
