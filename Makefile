# Everything a person or a runner types. Each target sets up what it needs; a second call is quick.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash

PYTHON ?= python3
LAB_ARGS ?=
NAME ?=
BIN := .venv/bin

# Editable installs see changed code by themselves; these change what must be installed.
SETUP := pyproject.toml constraints.txt scripts/install.py \
  jupyter_wf/engine/environments/pip_settings.py
BENCHMARKS := $(filter-out harness __init__,$(basename $(notdir $(wildcard benchmarks/*.py)))) \
  $(patsubst benchmarks/%/__main__.py,%,$(wildcard benchmarks/*/__main__.py))

.PHONY: help
help: ## what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: lab
lab: .venv/.lab ## JupyterLab with the first tutorial; LAB_ARGS="…" are passed on
	PATH="$(CURDIR)/$(BIN):$$PATH" jupyter lab notebooks \
	  --LabApp.default_url=/lab/tree/01-first-workflow.ipynb \
	  $(if $(filter 0,$(shell id -u)),--allow-root) $(LAB_ARGS)

.PHONY: test
test: .venv/.dev ## every test: Python, notebooks, real browser
	$(BIN)/python -m scripts.browser
	$(BIN)/python -m pytest -m ""

.PHONY: check
check: .venv/.dev ## format, lint, types, import contracts
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache

.PHONY: bench
bench: .venv/.dev ## the benchmarks, or NAME=… one of them; figures go to benchmarks/results
	@for name in $(or $(NAME),$(BENCHMARKS)); do $(BIN)/python -m benchmarks.$$name || exit 1; done

.PHONY: constraints
constraints: .venv/.dev ## the newest versions of what we need, pinned anew
	printf 'hatchling\nuv\n' | $(BIN)/uv pip compile pyproject.toml - --all-extras --upgrade \
	  --universal --python-version 3.11 \
	  --no-annotate --no-header --no-emit-index-url --no-emit-find-links --output-file constraints.txt

.venv/.lab: $(SETUP)
	$(PYTHON) -m scripts.install tutorials
	@touch $@

.venv/.dev: $(SETUP)
	$(PYTHON) -m scripts.install dev
	@touch $@ .venv/.lab
