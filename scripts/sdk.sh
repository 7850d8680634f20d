#!/usr/bin/env bash
# `make sdk`: clients in Python, TypeScript and Swift from openapi.yaml, into build/sdk/. Nothing is made where nothing changed.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

# shellcheck disable=SC2317 # called by the trap
on_exit() { [[ -z ${SCRATCH:-} ]] || rm -rf "$SCRATCH"; }
trap_exit

OUT=$ROOT/build/sdk
VERSION=$(sed -n 's/^  version: "\(.*\)"$/\1/p' openapi.yaml | head -n 1)
WANTED=$(cat openapi.yaml Tests/Clients/requirements.txt Tests/Clients/python.yaml scripts/sdk.sh | sha256sum)
if [[ $(cat "$OUT/made-of" 2>/dev/null) == "$WANTED" ]]; then
    say "The clients in build/sdk are up to date"
    exit 0
fi
install_missing python java
python_environment clients Tests/Clients/requirements.txt
export PATH=$PYTHON_BIN:$PATH
SCRATCH=$(mktemp -d)
rm -rf "$OUT"
mkdir -p "$OUT"

# generate <name> <command…>: what a generator has to say is shown when it fails, or when it left something out.
generate() {
    local name=$1
    shift
    say "Generating $name"
    run_child "$@" >"$SCRATCH/$name.log" 2>&1 || { cat "$SCRATCH/$name.log" >&2; die "no client in $name"; }
    ! grep -E 'Endpoint will not be generated|Unable to process schema|response will be omitted' "$SCRATCH/$name.log" ||
        { cat "$SCRATCH/$name.log" >&2; die "the client in $name lacks something that openapi.yaml describes"; }
}

generate python openapi-python-client generate --path openapi.yaml --output-path "$OUT/python" --overwrite --meta setup \
    --config Tests/Clients/python.yaml

# Types as they travel: no copying between objects and JSON, dates as the strings they are.
generate typescript openapi-generator-cli generate -i openapi.yaml -g typescript-fetch -o "$OUT/typescript" \
    --additional-properties="npmName=hsafa-client,npmVersion=$VERSION.0,supportsES6=true,importFileExtension=.js,modelPropertyNaming=original,dateLibrary=string,withoutRuntimeChecks=true"

generate swift openapi-generator-cli generate -i openapi.yaml -g swift6 -o "$OUT/swift" \
    --additional-properties="projectName=Hsafa,library=urlsession,responseAs=AsyncAwait,apiStaticMethod=false"

printf '%s\n' "$WANTED" >"$OUT/made-of"
say "Clients are in build/sdk: python, typescript, swift"
