#!/usr/bin/env bash
# `make stop`: ends a `make run` of this folder, as Ctrl-C would.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

exec 9>>"$STATE/lock" 2>/dev/null || { say "Nothing runs here"; exit 0; }
if flock -n 9; then
    say "Nothing runs here"
    exit 0
fi
pid=$(recorded_process "$STATE/run/run.pid") || die "something holds $STATE/lock, but its pid is unknown"
kill -TERM "$pid"
flock -w 90 9 || die "make run (pid $pid) did not end within 90 s"
say "Stopped"
