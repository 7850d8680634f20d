#!/usr/bin/env bash
# Installs the reference library of Standard Webhooks for the tests, in an environment of its own: .venv/webhooks. Does nothing where what is
# wanted is there already.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

# shellcheck disable=SC2317 # called by the trap
on_exit() { :; }
trap_exit

install_missing python
mkdir -p .venv
exec 8>.venv/lock
flock 8
folder=.venv/webhooks
wanted=$(python3 --version && sha256sum <Tests/Webhooks/requirements.txt)
if [[ -x $folder/bin/python && -r $folder/stamp && $(<"$folder/stamp") == "$wanted" ]]; then exit 0; fi
say "Installing the reference library of Standard Webhooks: $folder"
rm -rf "$folder"
python3 -m venv "$folder"
run_child "$folder/bin/pip" install --quiet --disable-pip-version-check --requirement Tests/Webhooks/requirements.txt
# An environment is there whole or not at all, whatever interrupts us: its stamp comes last.
printf '%s\n' "$wanted" >"$folder/stamp"
