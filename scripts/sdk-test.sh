#!/usr/bin/env bash
# `make sdk-test`: the clients of `make sdk`, used. Python drives a live gateway, TypeScript compiles under tsc --strict, Swift compiles, and the
# programs of docs/CLIENTS.md run.
#
#   GATEWAY_BIN      a built gateway in place of building one
#   SKIP_SWIFT_SDK   set: without the Swift client, which takes a minute to compile
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

install_missing python postgres redis curl node typescript
require_swift
scripts/sdk.sh
find_gateway
SDK=$ROOT/build/sdk
SCRATCH=$(mktemp -d)

say "TypeScript: tsc --strict"
run_child tsc --strict --target es2022 --module es2022 --moduleResolution node --lib es2022,dom --outDir "$SCRATCH/typescript" \
    "$SDK/typescript/src/index.ts" Tests/Clients/drive.ts
say "Python: a fresh environment"
run_child python3 -m venv "$SCRATCH/python"
run_child "$SCRATCH/python/bin/python" -m pip install --quiet --disable-pip-version-check --requirement Tests/Clients/runtime.txt "$SDK/python"

say "Starting a gateway on throwaway servers"
start_throwaway_gateway hsafa_clients
run_child "$SCRATCH/python/bin/python" Tests/Clients/drive.py
printf '{"type": "module"}\n' >"$SCRATCH/typescript/package.json"
run_child node "$SCRATCH/typescript/Tests/Clients/drive.js"

say "The programs of docs/CLIENTS.md"
export CLIENT_PYTHON=$SCRATCH/python/bin/python
programs=(events.sh events.py watch.mjs device.py)
# node 20 has its WebSocket behind a flag, earlier ones have none.
if node --experimental-websocket -e 'WebSocket' 2>/dev/null; then programs+=(device.mjs); else warn "this node has no WebSocket: device.mjs is not run"; fi
run_child "$CLIENT_PYTHON" Tests/Clients/snippets.py "$SCRATCH/snippets"
run_child tsc --strict --noEmit --target es2022 --lib es2022,dom "$SCRATCH/snippets/page.ts"
run_child swiftc -swift-version 6 -o "$SCRATCH/snippets/events" "$SCRATCH/snippets/events.swift"
run_child "$CLIENT_PYTHON" Tests/Clients/snippets.py "$SCRATCH/snippets" "${programs[@]}" events.swift
# Apple's CryptoKit is not here: what the program uses of it is, by name and type.
run_child swiftc -parse-as-library -emit-module -module-name CryptoKit -emit-module-path "$SCRATCH/snippets/CryptoKit.swiftmodule" \
    Tests/Clients/CryptoKit.swift
run_child swiftc -typecheck -swift-version 6 -I "$SCRATCH/snippets" "$SCRATCH/snippets/device.swift"

if [[ -z ${SKIP_SWIFT_SDK:-} ]]; then
    say "Swift: the client compiles"
    run_child swift build --package-path "$SDK/swift" --quiet
fi
say "The clients work"
