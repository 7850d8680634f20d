#!/usr/bin/env bash
# `make check`: everything about the sources and the description that needs no server.
#
# Warnings are errors by `.treatAllWarnings(as: .error)` in Package.swift: it holds for our targets alone, in every
# build, so no warning can hide in a build that was done before and prints nothing.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

# shellcheck disable=SC2317 # called by the trap
on_exit() { rm -rf "${SCRATCH:-}"; }
trap_exit
SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/hsafa-check.XXXXXX")
install_missing build
require_swift

folders=(Sources Tests)
[[ ! -d Benchmarks/Sources ]] || folders+=(Benchmarks/Sources)
say "Format"
run_child swift format lint --strict --parallel --recursive Package.swift "${folders[@]}"

say "Build, warnings as errors; each target imports only what it declares"
grep -q 'treatAllWarnings(as: \.error)' Package.swift || die "Package.swift no longer makes warnings errors: treatAllWarnings(as: .error)"
swift_build --build-tests --explicit-target-dependency-import-check error

say "The house's rules"
# shellcheck disable=SC2086 # several flags in one variable
run_child swift test ${SWIFT_BUILD_FLAGS:-} --skip-build --disable-xctest --filter '^TidyTests\.' >"$SCRATCH/tidy.log" 2>&1 || {
    grep -E '✘|↳' "$SCRATCH/tidy.log" >&2 || tail -n 20 "$SCRATCH/tidy.log" >&2
    die "the sources break a rule of the house"
}

say "The description is OpenAPI 3.1"
install_missing python lint
python_environment description Tests/ContractTests/requirements.txt
# openapi.released.yaml is compared with it, and must be readable as well.
for file in openapi.yaml docs/openapi.released.yaml; do
    [[ ! -e $file ]] || run_child "$PYTHON_BIN/openapi-spec-validator" "$file"
done

say "The compose file is what the Compose Specification asks for"
run_child "$PYTHON_BIN/check-jsonschema" --quiet --builtin-schema vendor.compose-spec docker-compose.yml

say "Shell scripts"
shellcheck -x -P SCRIPTDIR scripts/*.sh docker/*.sh .ci/run

say "YAML"
yamllint --strict -d '{extends: relaxed, rules: {line-length: disable}}' docker-compose.yml openapi.yaml policies/*.yaml
say "All is well"
