# rekindle: `make demo` shows it, `make test` proves it. Arguments go through ARGS="...".
# Recipes are plain lines for a plain sh: the make of macOS (3.81) knows no .ONESHELL.
.DEFAULT_GOAL := help
# recipes of one run share .venv and the ports of the machine
.NOTPARALLEL:

ARGS ?=
# test files run side by side: brokers and browsers are mostly waited for (28 minutes alone, 18 by two)
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
UV := 0.13.9
comma := ,

# Executed, not only looked up: pyenv's shims exist for versions that do not run.
ifndef PYTHON
PYTHON := $(shell for p in python3.12 python3.11 python3 python; do \
    if "$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' 2>/dev/null; \
    then echo "$$p"; break; fi; done)
endif

# Laws, units and replays must not depend on the order of a set: they run under two hash seeds.
TWICE := $(wildcard tests/unit tests/properties tests/contract tests/acceptance tests/architecture)
ONCE := $(wildcard tests/integration tests/faults tests/browser tests/alerts)

.PHONY: help setup demo test lint format kafka bench peers faults faults-long faults-alerts lock clean

help:
	@echo "make demo    a small shop on an embedded Kafka and Redis, in about three minutes"
	@echo "make test    everything: lint, types, imports, tests on real Kafka and Redis"
	@echo "make setup   only the environment (.venv)"
	@echo "make lint    ruff, mypy, import contracts; 'make format' mends what ruff can"
	@echo "make bench   how fast it is"
	@echo "make faults  what it survives, in five minutes; 'make faults-long' the whole, in 35"
	@echo "make faults-alerts breaks what each alert watches, and waits for the alert"
	@echo "make lock    requirements.lock anew from pyproject.toml"
	@echo "make clean   removes what these made, .venv included"

# ------------------------------------------------------------------------------- environment
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "rekindle needs Python 3.11 or 3.12, and none that runs was found (name one with PYTHON=/path/to/python3.12)." >&2; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) has no venv module: install it (Debian, Ubuntu: apt-get install python3-venv)." >&2; exit 1; }
	@echo "Making $(VENV) with $$("$(PYTHON)" --version)."
	@"$(PYTHON)" -m venv $(VENV)

# $(call install,EXTRAS): the lock serves as constraints, so that the demo does not pull in the tests
define install
	@echo "Installing rekindle[$(1)] into $(VENV)."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable ".[$(1)]"
	@$(BIN)/python -c 'import lightgbm' 2>$(VENV)/lightgbm.log || { \
	    if grep -q 'lib[gi]*omp' $(VENV)/lightgbm.log; \
	    then echo "LightGBM needs the OpenMP runtime: install libgomp1 (Debian, Ubuntu), libgomp (Fedora) or libomp (brew)." >&2; \
	    else cat $(VENV)/lightgbm.log >&2; fi; exit 1; }
	@touch $@
endef

$(VENV)/.demo-ready: pyproject.toml requirements.lock | $(BIN)/python
	$(call install,embedded)

$(VENV)/.ready: pyproject.toml requirements.lock | $(BIN)/python
	$(call install,embedded$(comma)tracing$(comma)dev)
	@touch $(VENV)/.demo-ready

setup: $(VENV)/.ready

# ------------------------------------------------------------------------------------- using
demo: $(VENV)/.demo-ready
	@$(BIN)/rekindle demo $(ARGS)

bench: setup kafka
	@$(BIN)/python -m tests.benchmarks.run $(ARGS)

# two minutes of faults, and every broken worker once
# Quix Streams wants an older confluent-kafka than the embedded broker: an environment of its own
peers: setup
	@test -x build/peers/bin/python || $(BIN)/python -m venv build/peers
	@build/peers/bin/python -m pip install --quiet --disable-pip-version-check --editable . quixstreams==3.28.0

faults: setup kafka
	@$(BIN)/python -m tests.faults.run $(ARGS)

# the whole, about 35 minutes, with its report; ARGS="--seed 7 --events 500000 --minutes 9" asks less
faults-long: setup kafka
	@$(BIN)/python -m tests.faults.run --long --report docs/what-it-survives.md $(ARGS)

# every alert fired by a fault on real processes, about 40 minutes; ARGS="worker-killed" one of them
faults-alerts: setup kafka
	@$(BIN)/python -m tests.faults.alerts.run $(ARGS)

# ----------------------------------------------------------------------------------- proving
lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "ruff format would change files: run 'make format'." >&2; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: setup
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

# a real Kafka for the tests, once per machine (43 MB by Maven)
kafka: setup
	@$(BIN)/python -m tests.support.kafka

# $(call pytest,SEED,FOLDERS): with ARGS="-k caps" a run may have nothing to do, which pytest calls 5
define pytest
	@test -z "$(2)" || { echo "pytest, PYTHONHASHSEED=$(1): $(2)"; \
	    PYTHONHASHSEED=$(1) $(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(2) $(ARGS) || { code=$$?; test $$code -eq 5 -a -n "$(ARGS)" || exit $$code; }; }
endef

test: setup lint kafka
	$(call pytest,0,$(TWICE))
	$(call pytest,1,$(TWICE))
	$(call pytest,0,$(ONCE))
	@echo "All that ran has passed; what was not run stands above under NOT RUN."

# ----------------------------------------------------------------------------------- keeping
# keeps the versions of the present lock; ARGS=--upgrade takes the newest, ARGS="-P redis" one
lock:
	@test -x build/uv/bin/uv || { "$(PYTHON)" -m venv build/uv && build/uv/bin/pip install --quiet uv==$(UV); }
	@build/uv/bin/uv pip compile --quiet pyproject.toml --all-extras --universal --python-version 3.11 \
	    --no-emit-index-url --no-header --output-file requirements.lock $(ARGS)

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
