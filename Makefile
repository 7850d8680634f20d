# What each target does is in scripts/, which can be run without make as well.
.DEFAULT_GOAL := help
.PHONY: help run demo test contract contract-long sdk sdk-test browser-test check bench stop clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Install what is missing, build, and serve on port 3000 with private Postgres and Redis
	@scripts/run.sh

demo: ## One run with tools on this machine, against the gateway of `make run`
	@scripts/demo.sh

test: ## All tests, against throwaway servers (FILTER=name for some of them)
	@scripts/test.sh

contract: ## A live gateway against openapi.yaml, driven by schemathesis (part of `make test`)
	@scripts/contract.sh

contract-long: ## The same for half an hour, with other requests each time
	@scripts/contract.sh --long

sdk: ## Clients in Python, TypeScript and Swift from openapi.yaml, into build/sdk
	@scripts/sdk.sh

sdk-test: ## Those clients, and the programs of docs/CLIENTS.md, used (part of `make test`)
	@scripts/sdk-test.sh

browser-test: ## The pages: examples/browser, that of docs/CLIENTS.md and /docs, in headless Chromium (part of `make test`)
	@scripts/browser-test.sh

check: ## Format, layers, warnings as errors, the description, shell scripts
	@scripts/check.sh

bench: ## Load tests in release mode
	@scripts/bench.sh

stop: ## End a `make run` from another terminal
	@scripts/stop.sh

clean: ## Remove builds and environments; .hsafa, with data and keys, stays
	@rm -rf .build Benchmarks/.build build .venv
