# The commands of the README. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

RUNTIME := .venv-runtime
TEST := .venv
FRAMES ?= 300

.PHONY: help
help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: demo
demo: ## Install the runtime and watch the simulated line (FRAMES=300)
	@.ci/environment $(RUNTIME) .ci/requirements/runtime.txt
	@.ci/mosquitto
	@exec $(RUNTIME)/bin/edge-inspect demo --frames $(FRAMES)

.PHONY: setup
setup: ## Install everything, torch included, into .venv
	@.ci/environment $(TEST) .ci/requirements/test.txt
	@.ci/mosquitto

.PHONY: test
test: setup lint ## Set up, then format, lint, types, import layers and the whole suite
	$(TEST)/bin/pytest

.PHONY: lint
lint: setup ## Format, lint, types and import layers
	$(TEST)/bin/ruff format --check .
	$(TEST)/bin/ruff check .
	$(TEST)/bin/mypy
	$(TEST)/bin/lint-imports

.PHONY: bundle
bundle: setup ## Make the shipped demo bundle again from nothing (about an hour on two cores)
	.ci/bundle runs/bundle

.PHONY: schemas
schemas: setup ## Generate docs/schemas from the contracts
	$(TEST)/bin/python -m edge_runtime.contracts.schemas docs/schemas

.PHONY: lock
lock: ## Compile the hash-pinned requirements from pyproject.toml
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
		pyproject.toml -o .ci/requirements/runtime.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
		--extra openvino --extra optimize --extra train --group test \
		pyproject.toml -o .ci/requirements/test.txt
