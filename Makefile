# One word for everything a person does with this checkout. `make` alone lists the words.
# Needs only python3 (3.11 or newer) and make: each word that runs something first makes .venv, once, with .ci/bootstrap.py.

PYTHON ?= python3
VENV ?= .venv
COVERAGE ?= 90
ARGS ?=
# How many processes share the tests. One server of PostgreSQL each, so more than the cores gains nothing.
PARALLEL ?= --numprocesses=auto --dist=loadscope
BIN := $(VENV)/bin

define bootstrap
@command -v $(PYTHON) >/dev/null 2>&1 || { \
	echo "$(PYTHON) is not on this machine. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3 $(MAKECMDGOALS)" >&2; \
	exit 1; }
@$(PYTHON) .ci/bootstrap.py
endef

.DEFAULT_GOAL := help
.PHONY: help install demo run test check lint types contracts sql settings format coverage chaos bench bench-sql accuracy build lock \
	clean distclean ready-embedded ready-test

help: ## List these words
	@echo "pggit-alertd: make WORD [ARGS='...'] [PYTHON=python3.12] [VENV=.venv]"
	@echo
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)$$/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | while IFS="$$(printf '\t')" read -r word text; do \
		printf '  %-10s %s\n' "$$word" "$$text"; done

ready-embedded:
	$(bootstrap) embedded $(VENV)

ready-test:
	$(bootstrap) test $(VENV)

install: ready-embedded ## Make .venv with the command in it: .venv/bin/pggit-alertd
	@echo "Installed: $(BIN)/pggit-alertd"

demo: ready-embedded ## Show alerts travel, on a PostgreSQL of its own that is removed afterwards (ARGS=--stay)
	@$(BIN)/pggit-alertd demo $(ARGS)

run: ready-embedded ## Run the daemon; settings come from the environment (docs/settings.md)
	@$(BIN)/pggit-alertd run $(ARGS)

test: ready-test ## Run the tests (ARGS='-k queue -x')
	@$(BIN)/pytest $(PARALLEL) $(ARGS)

check: lint types contracts sql settings ## Everything a change must pass beside the tests

lint: ready-test ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: ready-test ## mypy, strict
	@$(BIN)/mypy

contracts: ready-test ## import-linter: which module may import which
	@$(BIN)/lint-imports

sql: ready-test ## sqlfluff on sql/
	@$(BIN)/sqlfluff lint sql

settings: ready-test ## docs/settings.md says what the program says
	@$(BIN)/python -m pggit_alertd.settings --check docs/settings.md

format: ready-test ## Put Python and SQL into the form that `check` asks for
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .
	@$(BIN)/sqlfluff fix sql

coverage: ready-test ## Run the tests and fail under COVERAGE per cent (90)
	@$(BIN)/pytest --cov --cov-report=term --cov-fail-under=$(COVERAGE) $(ARGS)

chaos: ready-test ## Break things on purpose, count what was lost: build/chaos.json (SHORT=1: minutes, not an hour)
	@CHAOS=$(if $(SHORT),short,long) CHAOS_REPORT=build/chaos.json $(BIN)/pytest tests/chaos $(PARALLEL) $(ARGS)

bench: ready-test ## Measure again what bench/ reports
	@set -e; for script in bench/[!_]*.py; do echo "== $$script"; $(BIN)/python "$$script" $(ARGS); done

bench-sql: ready-test ## Time the SQL beside the design document's: build/bench-sql.json (SIZE=100k: under a minute)
	@$(BIN)/python bench/sql.py $(if $(SIZE),--size=$(SIZE)) $(ARGS)

accuracy: ready-test ## Say how right the detectors are, on data whose truth is known: build/accuracy.json (SHORT=1: a minute)
	@$(BIN)/python bench/accuracy.py $(if $(SHORT),--short) $(ARGS)

build: ready-test ## Build the wheel into dist/
	@$(BIN)/python -m hatchling build -t wheel

lock: ## Pin the newest releases that pyproject.toml allows (ARGS=--upgrade), in .ci/lock-*.txt
	@.ci/lock $(ARGS)

clean: ## Remove caches, coverage and builds
	@rm -rf build dist .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find src tests bench .ci -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## And the environment
	@rm -rf $(VENV)
