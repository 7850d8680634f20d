#!/usr/bin/env bash
# Prints the path of a Python that has the reference library for Standard Webhooks; quick when nothing changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=.venv/webhooks
wanted=Tests/Webhooks/requirements.txt
if ! cmp -s "$wanted" "$venv/installed.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv" >&2
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$wanted" >&2
    cp "$wanted" "$venv/installed.txt"
fi
echo "$PWD/$venv/bin/python"
