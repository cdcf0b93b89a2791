# Two commands: `make up` runs the gateway, `make test` proves it. Both set up what they need.

VENV   := .venv
PY     := $(VENV)/bin/python
STAMP  := $(VENV)/.installed
export UV_PROJECT_ENVIRONMENT := $(VENV)
export RAGAS_DO_NOT_TRACK := true

.DEFAULT_GOAL := help
.PHONY: help up demo test test-installations test-rooms check conformance redaction bench bench-full bench-against faults soak mutants lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

up: $(STAMP) ## set up and run the gateway on http://127.0.0.1:4000
	@exec $(PY) -m gateway up

demo: $(STAMP) ## send sample traffic through the running gateway
	@exec $(PY) -m gateway demo

test: $(STAMP) check ## set up and run every test
	@.ci/conformance-tools
	@.ci/redaction-texts
	@$(MAKE) --no-print-directory --jobs 2 --output-sync test-installations test-rooms

# Side by side: those that start whole gateways wait much, the others compute.
WHOLE := tests/conformance tests/e2e tests/faults tests/upgrade

test-installations: $(STAMP)
	$(PY) -m pytest -q $(WHOLE)

test-rooms: $(STAMP)
	$(PY) -m pytest -q tests $(WHOLE:%=--ignore=%)

check: $(STAMP) ## formatting, lint, types and import rules
	$(VENV)/bin/ruff format --check gateway evaluators dashboards tests
	$(VENV)/bin/ruff check gateway evaluators dashboards tests
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache

conformance: $(STAMP) ## run clients with the gateway and without, and compare
	@.ci/conformance-tools
	@.ci/conformance-clients
	$(PY) -m tests.conformance

redaction: $(STAMP) ## measure what redaction finds, and write it down
	@.ci/redaction-texts
	$(PY) -m tests.redact

bench: $(STAMP) ## measure the gateway against nginx, a bare pass-through, a plain analyzer
	@.ci/bench-tools
	@.ci/redaction-texts
	$(PY) -m tests.bench

bench-full: $(STAMP) ## the same, longer
	@.ci/bench-tools
	@.ci/redaction-texts
	$(PY) -m tests.bench --full

bench-against: $(STAMP) ## compare the hot path with another revision: make bench-against REV=main~10
	@.ci/bench-tools
	$(PY) -m tests.bench.against $(REV)

faults: $(STAMP) ## every durability promise under its faults: make faults [SEEDS=5]
	$(PY) -m tests.faults --seeds $(or $(SEEDS),50)

soak: $(STAMP) ## an hour of calls, toxics and kills: make soak [MINUTES=5]
	$(PY) -m tests.faults.soak --minutes $(or $(MINUTES),60)

mutants: $(STAMP) ## remove each guard and see its test turn red: make mutants [JOBS=2]
	$(PY) -m tests.mutants --jobs $(or $(JOBS),2)

lock: $(STAMP) ## compile requirements.lock anew (hashes, no addresses)
	.ci/uv pip compile --universal --generate-hashes --python-version 3.11 --all-extras --group dev --no-header \
		pyproject.toml -o requirements.lock
	.ci/uv pip compile --universal --generate-hashes --python-version 3.11 --no-header -c requirements.lock \
		tests/conformance/requirements.in -o tests/conformance/requirements.lock

clean: ## remove what was set up; data/ stays
	rm -rf $(VENV) build .mypy_cache .ruff_cache

# Everything is installed from the lock, hashes checked, then compiled, so that a warm start takes seconds.
$(STAMP): requirements.lock pyproject.toml .ci/uv
	.ci/uv venv --quiet --allow-existing --python '>=3.11' $(VENV)
	.ci/uv pip sync --quiet --require-hashes --compile-bytecode --python $(PY) requirements.lock
	.ci/uv pip install --quiet --no-deps --python $(PY) --editable .
	@touch $@
