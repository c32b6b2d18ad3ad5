# Two commands do all: `make run` (the pipeline) and `make test`. Each creates .venv and installs the locked environment first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := $(shell sed -n 's/^\(torch==[^ ]*\).*/\1/p' requirements.lock)
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help install run test check lint format docs lock ui report clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*##\(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 10

install: $(VENV)/project  ## create .venv and install the locked environment

$(VENV)/packages: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "Headrace needs Python 3.11 to 3.13, found " + sys.version.split()[0] + "; name one: make PYTHON=python3.11 $(MAKECMDGOALS)")'
# A link leads to an environment that is somebody else's, too: to clear it would take theirs away.
	@test ! -L $(VENV) || { echo "$(VENV) is a link to $$(readlink $(VENV)); remove the link, and an environment of its own is made"; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { echo "python3 cannot create an environment; on Debian: apt-get install python3-venv"; exit 1; }
	@echo "installing $$(grep -c '^[a-z0-9].*==' requirements.lock) packages of requirements.lock into $(VENV) (once, one to three minutes)"
# torch has no hash: its CPU and CUDA builds differ. All else is checked, and pulls in nothing that is not in the lock.
	@grep -v '^torch==' requirements.lock > $(VENV)/hashed.txt
	@$(PIP) --require-hashes --no-deps -r $(VENV)/hashed.txt
	@$(PIP) $(TORCH)
	@touch $@

$(VENV)/project: $(VENV)/packages pyproject.toml
	@$(PIP) --no-deps --no-build-isolation -e .
	@$(BIN)/headrace setup
	@touch $@

run: install  ## run the pipeline: from raw data to a registered model and reports/report.html
	@$(BIN)/headrace run

test: install  ## run the tests
# A module's tests stay in one process, in their order: many share a project or servers that took seconds to make.
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow"

check: install  ## style, types, import contracts, honest dependencies
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache > $(VENV)/imports.txt || { cat $(VENV)/imports.txt; exit 1; }
	@$(BIN)/headrace lint

lint: install  ## only `headrace lint`: dvc.yaml, params.yaml, stages and imports agree
	@$(BIN)/headrace lint

format: install  ## rewrite the code in the project's style
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

docs: install  ## write docs/reference and params.schema.json from the code
	@$(BIN)/python infra/docs.py

lock: install  ## resolve pyproject.toml anew into requirements.lock and environment.json
	@$(BIN)/python infra/lock.py

ui: install  ## open the MLflow UI
	@$(BIN)/headrace ui

report: install  ## write reports/report.html and print its path
	@$(BIN)/headrace report

clean:  ## remove .venv and what tools left behind; data, models and the shared cache stay
	@rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis build
