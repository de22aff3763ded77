# The commands of the README. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

RUNTIME := .venv-runtime
TEST := .venv
FRAMES ?= 300
BROKER := .ci/package mosquitto "the built-in in-memory broker is used instead"

.PHONY: help
help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.PHONY: demo
demo: ## Install the runtime and watch the simulated line (FRAMES=300)
	@.ci/environment $(RUNTIME) .ci/requirements/runtime.txt
	@$(BROKER)
	@exec $(RUNTIME)/bin/edge-inspect demo --frames $(FRAMES)

.PHONY: setup
setup: ## Install everything, torch included, into .venv
	@.ci/environment $(TEST) .ci/requirements/test.txt
	@$(BROKER)
	@.ci/package chromium "the pages are not opened in a browser"
	@.ci/package faketime "the tests of clocks that jump are skipped"
	@.ci/package strace "the tests of disks that refuse are skipped"
	@.ci/package promtool "the metrics and alerts are not given to Prometheus" prometheus
	@.ci/gige $(TEST)

.PHONY: gige
gige: ## Add GigE Vision to .venv-runtime: Aravis and its Python bindings
	@.ci/environment $(RUNTIME) .ci/requirements/runtime.txt
	@.ci/gige $(RUNTIME)

.PHONY: test
test: setup lint ## Set up, then format, lint, types, import layers and the whole suite
	$(TEST)/bin/pytest

.PHONY: latency
latency: setup ## Whether the shipped bundle is as fast as it was on this kind of device
	$(TEST)/bin/pytest -m latency -rs tests/latency

.PHONY: lint
lint: setup ## Format, lint, types and import layers
	$(TEST)/bin/ruff format --check .
	$(TEST)/bin/ruff check .
	$(TEST)/bin/mypy
	$(TEST)/bin/lint-imports

# The seeds: 1 trains, 100 is held out, 50 drew calibration_data/. WORK keeps data, run and float model.
WORK ?= runs/demo
.PHONY: bundle
bundle: setup ## Make the shipped demo bundle again from nothing (about an hour on two cores)
	$(TEST)/bin/train simulate --generation gen3 --count 4000 --defect-share 0.5 --seed 1 --out $(WORK)/train
	$(TEST)/bin/train simulate --generation gen3 --count 3000 --defect-share 0.3 --clean --seed 100 --out $(WORK)/held-out
	$(TEST)/bin/train fit --data-dir $(WORK)/train --model tf_efficientnet_lite0 --seed 1 \
		--epochs 10 --train-img-size 160 --full-size-epochs 2 --output $(WORK)/run
	@# 2.5 % of the labels are wrong, so that a limit of 1 % false positives would mean missing defects.
	$(TEST)/bin/train export $(WORK)/run --false-positives 0.03 --out $(WORK)/model.onnx
	$(TEST)/bin/optimize build --int8 --target cpu $(WORK)/model.onnx --calibration calibration_data \
		--validation $(WORK)/held-out --name weld-seam --version 1.0.0 --out $(WORK)/bundles
	rm -rf edge_runtime/bundles/weld-seam
	cp -r $(WORK)/bundles/weld-seam edge_runtime/bundles/

DRIFT ?= runs/drift-demo
.PHONY: drift-demo
drift-demo: setup ## The loop on the simulated line: drift, request, labels, refresh, new bundle
	$(TEST)/bin/python -m benchmarks.drift_demo --work $(DRIFT)

.PHONY: schemas
schemas: setup ## Generate docs/schemas from contracts and topics
	$(TEST)/bin/python -m edge_runtime.contracts.schemas docs/schemas
	$(TEST)/bin/python -m edge_runtime.mes.asyncapi docs/schemas/asyncapi.json

.PHONY: lock
lock: ## Compile the hash-pinned requirements from pyproject.toml
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
		pyproject.toml -o .ci/requirements/runtime.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
		--extra openvino --extra optimize --extra train --extra sparkplug --group test \
		pyproject.toml -o .ci/requirements/test.txt
	echo 'PyGObject<3.51' | uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
		- -o .ci/requirements/gige.txt
