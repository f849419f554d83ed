# `make` alone lists the targets. Everything runs in .venv, which `setup` makes from the locked requirements.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 3

.DEFAULT_GOAL := help
.PHONY: help setup demo agents-demo rollout-demo dev test browser-test fuzz chaos-short chaos bench check format codegen codegen-check lock wheel clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv and install what is locked (the other targets call it)

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (once; about a minute)"
	@$(BIN)/pip --disable-pip-version-check --quiet install --require-hashes --requirement requirements/dev.txt
	@$(BIN)/pip --disable-pip-version-check --quiet install --no-build-isolation --no-deps --editable .
	@touch $@

demo: $(STAMP) ## Give CODIE a real coding mission, end to end
	@$(BIN)/python docs/demo

agents-demo: $(STAMP) ## One mission through four kinds of agent, then agents that misbehave
	@$(BIN)/python docs/agents_demo

rollout-demo: $(STAMP) ## Walk a lane from off to default_on, break it, and watch it roll back
	@$(BIN)/python docs/how-to/rollout/walk.py

dev: $(STAMP) ## Serve a control plane with the demo's lane on http://127.0.0.1:8642
	@UA_ENABLE_CODER_VP=1 $(BIN)/python docs/demo prepare && UA_ENABLE_CODER_VP=1 $(BIN)/dragan dev --data .demo/data --lanes .demo/lanes.yaml

test: $(STAMP) ## Run the whole test suite (but for the browser's)
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup --ignore tests/browser

browser-test: $(STAMP) ## Try the operator's page in Chromium (needs `chromium`); pictures are left in test-output/
	@$(BIN)/python -m pytest -q tests/browser

fuzz: $(STAMP) ## Try 100,000 documents on every schema and 50,000 requests on the API (FUZZ=n: as many; FUZZ_SEED=n: those again)
	@FUZZ=$${FUZZ:-100000} $(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup tests/fuzz
	@CONFORMANCE_EXAMPLES=$${CONFORMANCE_EXAMPLES:-1900} $(BIN)/python -m pytest -q -n $(WORKERS) -rP tests/conformance/test_reference.py -k generated_requests

chaos-short: $(STAMP) ## Break a running house for half a minute on each database (SEED=n: the same blows again)
	@CHAOS_SEED=$(SEED) $(BIN)/python -m pytest -q -rP tests/chaos/test_campaign.py

chaos: $(STAMP) ## Break it for as long as MISSIONS=5000 missions take, on both databases (SEED=n)
	@PYTHONPATH=tests/support $(BIN)/python -m tests.chaos postgresql sqlite --missions $(or $(MISSIONS),5000) $(if $(SEED),--seed $(SEED))

bench: $(STAMP) ## Measure against the targets, as ratios taken in one run
	@missed=0; for script in tests/benchmarks/bench_*.py; do $(BIN)/python $$script || missed=1; echo; done; exit $$missed

check: $(STAMP) ## Lint, types, layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache > $(VENV)/layers.log 2>&1 || { cat $(VENV)/layers.log; exit 1; }
	@echo "layers kept"

format: $(STAMP) ## Put the code into its one format
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

codegen: $(STAMP) ## Generate generated/ and docs/reference/ from specs/
	@$(BIN)/dragan spec codegen --specs specs --out generated/dragancorp_contracts --docs docs/reference

codegen-check: $(STAMP) ## Fail when generated/ or docs/reference/ is not what specs/ says
	@$(BIN)/dragan spec codegen --specs specs --out generated/dragancorp_contracts --docs docs/reference --check

lock: $(STAMP) ## Renew the locked requirements (needs uv)
	@uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 requirements/runtime.in --output-file requirements/runtime.txt
	@uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 requirements/dev.in --output-file requirements/dev.txt

wheel: $(STAMP) ## Build the wheel into dist/
	@$(BIN)/python -m build --wheel --no-isolation --outdir dist .

clean: ## Remove what was built and the demo's folder, not .venv
	@rm -rf build dist .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
