#!/usr/bin/env bash
# Installs the official MCP SDK for the tests, each of its two lines, and releases of earlier years, in an environment of its own: .venv/mcp-1,
# .venv/mcp-2 and so on. Does nothing where what is wanted is there already.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

# shellcheck disable=SC2317 # called by the trap
on_exit() { :; }
trap_exit

# An environment is there whole or not at all, whatever interrupts us: its stamp comes last.
install_line() {
    local line=$1 wanted
    local requirements=Tests/MCPServers/requirements-$line.txt folder=.venv/mcp-$line
    wanted=$(python3 --version && sha256sum <"$requirements")
    if [[ -x $folder/bin/python && -r $folder/stamp && $(<"$folder/stamp") == "$wanted" ]]; then return 0; fi
    say "Installing the MCP servers of the tests: $folder"
    rm -rf "$folder"
    python3 -m venv "$folder"
    run_child "$folder/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$requirements"
    printf '%s\n' "$wanted" >"$folder/stamp"
}

mkdir -p .venv
install_missing python
exec 8>.venv/lock
flock 8
for line in 1 2 1.6 1.9 1.12; do install_line "$line"; done
