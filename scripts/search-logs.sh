#!/usr/bin/env bash
# Looks for secrets in the logs of a test run: search-logs.sh DIRECTORY [--partial]
#
# *.log are searched for the form of every credential, and for each line of known-secrets, which the tests write. Exits with 0 when
# nothing is found, 1 when something is, 2 when there is nothing to search: a check of nothing is none. With --partial (a run of some
# suites only) an empty directory is fine.
set -euo pipefail

directory=${1:?usage: search-logs.sh DIRECTORY [--partial]}
partial=${2:-}
shopt -s nullglob
logs=()
for log in "$directory"/*.log; do [[ -s $log ]] && logs+=("$log"); done
known=$directory/known-secrets

if ((${#logs[@]} == 0)) || [[ ! -s $known ]]; then
    [[ $partial == --partial ]] && exit 0
    echo "no log, or no known secret, in $directory: nothing was searched" >&2
    exit 2
fi
if grep -qE '^.{0,15}$' "$known"; then
    echo "$known has a line shorter than 16 characters, which would be found anywhere" >&2
    exit 2
fi

found=0
report() { # what, then grep's options
    local what=$1
    shift
    local lines
    lines=$(grep -Hn --binary-files=text "$@" -- "${logs[@]}" | cut -d: -f1,2 | head -5) || true
    [[ -n $lines ]] || return 0
    found=1
    printf '%s in the log, at:\n%s\n' "$what" "$lines" >&2
}
report 'a credential (hsk_, hse_, hrt_ …)' -E 'h[a-z]{2}_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}|hrt_[0-9A-Za-z]{20,}'
report 'an Authorization header' -iE 'bearer +[A-Za-z0-9._~+/=-]{8,}'
report 'a signing secret' -E 'whsec_[A-Za-z0-9+/=_-]{8,}'
report 'a private key' -E -e '-----BEGIN [A-Z ]*PRIVATE KEY-----'
report 'a token in a query' -E '[?&]token=[^ &"]'
report 'a known secret' -F -f "$known"
exit "$found"
