# Everything here needs Python 3.11+, pip and make; uv is fetched by pip when it is missing.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
UV := $(shell command -v uv 2>/dev/null)
RUN := $(VENV)/bin/

.DEFAULT_GOAL := help
.PHONY: help setup demo up test lint types format bench crash-matrix docs lock clean

help: ## Show what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(STAMP) ## Create .venv with exactly the locked packages

$(STAMP): requirements.lock pyproject.toml
ifeq ($(UV),)
	$(PYTHON) -m venv $(VENV)/uv
	$(VENV)/uv/bin/pip install --quiet 'uv>=0.9'
	$(VENV)/uv/bin/uv venv --quiet --allow-existing --python $(PYTHON) $(VENV)
	VIRTUAL_ENV=$(VENV) $(VENV)/uv/bin/uv pip sync --quiet --require-hashes requirements.lock
	VIRTUAL_ENV=$(VENV) $(VENV)/uv/bin/uv pip install --quiet --no-deps --editable .
else
	uv venv --quiet --allow-existing --python $(PYTHON) $(VENV)
	VIRTUAL_ENV=$(VENV) uv pip sync --quiet --require-hashes requirements.lock
	VIRTUAL_ENV=$(VENV) uv pip install --quiet --no-deps --editable .
endif
	@touch $(STAMP)

demo: setup ## Bring the platform up and tell the story of a deployment, on real input
	$(RUN)sagacity demo --exit

up: setup ## Run the platform until Ctrl-C
	$(RUN)sagacity up

test: setup ## All tests, with a seeded sample of the crash matrix (under 10 minutes)
	$(RUN)pytest -m 'not matrix'

crash-matrix: setup ## Every event boundary × saga process, nats-server, PostgreSQL
	$(RUN)pytest -m matrix

lint: setup types ## Style, types and import direction
	$(RUN)ruff check .
	$(RUN)ruff format --check .
	$(RUN)lint-imports

types: setup
	$(RUN)pyright

format: setup ## Apply the style
	$(RUN)ruff check --fix .
	$(RUN)ruff format .

bench: setup ## Every benchmark beside its peer or limit, in one run
	$(RUN)python -m benchmarks

docs: setup ## Generate the event catalogue (AsyncAPI) and the API reference (OpenAPI)
	$(RUN)sagacity docs --out docs/reference

lock: ## Lock the newest allowed packages, with hashes
	uv pip compile --quiet --universal --generate-hashes --group dev pyproject.toml --output-file requirements.lock

clean: ## Remove what the two commands made
	rm -rf $(VENV) .sagacity .pytest_cache .ruff_cache .hypothesis
