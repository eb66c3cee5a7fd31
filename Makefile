# Every door of the project. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3 python,$(shell command -v $(p) 2>/dev/null)))
BIN := .venv/bin
READY := .venv/.ready
STACK := $(BIN)/python -m riskstream.deploy.stack
RISKSTREAM := $(BIN)/python -m riskstream.workers
TRAIN := .riskstream/train
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-emit-index-url --no-emit-find-links
PIP_FLAGS := --disable-pip-version-check --no-input --progress-bar off
DURATION ?= 120
SEED ?= 7
PROTOCOL ?= classic
# pip's own words are a page; a person wants to know how far it is.
SHOW_FETCHES = awk -v all="$$(grep -c '==' requirements.lock)" \
	'/^Collecting/ { printf "\r  package %d of %d", ++n, all; fflush() } /^Installing/ { print ", unpacking"; fflush() }'

.PHONY: help env demo demo-drift train test test-unit faults faults-all mutants bench bench-drift bench-offline check format up down lock clean

help: ## this list
	@echo "Riskstream: payments in, risk scores out, exactly once."; echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

env: $(READY) ## make the environment in .venv (the others do this by themselves)

demo: $(READY) ## stream simulated payments through real Kafka, Redis and two workers, and count
	@$(BIN)/python -m riskstream.deploy.demo

train: $(READY) ## simulated payments to a model that has proved itself, with a report, proposed in the registry
	@rm -rf $(TRAIN) && mkdir -p $(TRAIN)
	@$(RISKSTREAM) simulate --events 150000 --users 2000 --days 150 --seed $(SEED) \
		--parquet $(TRAIN)/payments.parquet --profile-history $(TRAIN)/profiles.parquet
	@$(RISKSTREAM) dataset --events $(TRAIN)/payments.parquet --profiles $(TRAIN)/profiles.parquet --out $(TRAIN)/data
	@$(RISKSTREAM) check $(TRAIN)/data --out $(TRAIN)/check.html
	@$(RISKSTREAM) train deploy/train/payment.toml --out $(TRAIN)/payment-risk --register

demo-drift: $(READY) ## a story for the sidecar: three things go wrong, what is noticed, and when
	@$(BIN)/python -m riskstream.deploy.demo.drift

test: $(READY) ## every test, on a Kafka and a Redis of its own
	@$(BIN)/python -m pytest

test-unit: $(READY) ## only the tests that need no server: seconds
	@$(BIN)/python -m pytest tests/unit

faults: $(READY) ## a random mix of faults, judged: make faults DURATION=120 SEED=7 PROTOCOL=classic|consumer
	@$(BIN)/python -m tests.faults --duration $(DURATION) --seed $(SEED) --protocol $(PROTOCOL) $(FAULTS)

bench: $(READY) ## what a worker costs and how long it takes; make bench QUICK=1: the main figures in a minute
	@$(BIN)/python -m tests.bench $(if $(QUICK),--quick) $(BENCH)

bench-drift: $(READY) ## how often drift alerts are wrong, and how small a change they see: some minutes
	@$(BIN)/python -m tests.bench.drift $(BENCH)

bench-offline: $(READY) ## how many rows a second the features of a log take on one core: half a minute
	@$(BIN)/python -m tests.bench.offline $(BENCH)

faults-all: $(READY) ## every named fault, judged: about half an hour
	@$(BIN)/python -m pytest -m faults tests/faults tests/integration

mutants: $(READY) ## take each mechanism out, and see which fault's judgement notices: about ten minutes; MUTANTS="words"
	@$(BIN)/python -m tests.faults.mutants $(MUTANTS)

check: $(READY) ## format, lint, types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(READY) ## put the code into form
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

up: $(READY) ## start Kafka and Redis in the background, to explore
	@$(STACK) up

down: $(READY) ## stop them; the data stays
	@$(STACK) down

lock: $(READY) ## write the lock files anew after a change of pyproject.toml (a maintainer's door; fetches uv)
	@$(BIN)/pip install --quiet uv
	@$(COMPILE) --all-extras -o requirements.lock pyproject.toml
	@$(COMPILE) -o requirements-worker.lock -c requirements.lock pyproject.toml
	@$(COMPILE) --extra drift -o requirements-drift.lock -c requirements.lock pyproject.toml

clean: ## stop the stack; delete the environment, all local data and caches
	@if [ -x $(BIN)/python ]; then $(STACK) down || true; fi
	@rm -rf .venv .riskstream build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis

# Made anew only when the locked packages change; a half-made one is not taken for ready.
$(READY): requirements.lock
	@[ -n "$(PYTHON)" ] || { echo "error: no Python found. Install Python 3.11, 3.12 or 3.13 and run make again."; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; (3, 11) <= v < (3, 14) or sys.exit(f"error: Python 3.11 to 3.13 is needed, {sys.executable} is {v[0]}.{v[1]}. Try: make PYTHON=python3.11")'
	@echo "Making the environment in .venv with $$($(PYTHON) --version): about two minutes the first time."
	@[ -x $(BIN)/pip ] || $(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install $(PIP_FLAGS) --require-hashes -r requirements.lock | $(SHOW_FETCHES)
	@$(BIN)/python -m pip install $(PIP_FLAGS) --quiet --no-deps --no-build-isolation -e .
	@$(STACK) fetch
	@touch $(READY)
