# Everything here needs Python 3.11+, pip and make; uv is fetched by pip when it is missing.
PYTHON ?= $(firstword $(foreach name,python3 python3.11 python3.12 python3.13 python3.14 python,$(shell \
	$(name) -c 'import sys; sys.version_info >= (3, 11) and print("$(name)")' 2>/dev/null)) python3)
VENV := .venv
STAMP := $(VENV)/.installed
OWN_UV := $(VENV)/uv/bin/uv
UV := $(or $(shell command -v uv 2>/dev/null),$(OWN_UV))
RUN := $(VENV)/bin/

.DEFAULT_GOAL := help
.PHONY: help setup demo up test lint types format bench crash-matrix rollbacks docs lock clean

help: ## Show what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(STAMP) ## Create .venv with exactly the locked packages

$(STAMP): requirements.lock pyproject.toml | $(UV)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
	VIRTUAL_ENV=$(VENV) $(UV) pip sync --quiet --require-hashes requirements.lock
	VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps --editable .
	@touch $(STAMP)

# Not into an environment of its own: `python -m venv` needs ensurepip, which some systems ship apart from Python.
$(OWN_UV):
	$(PYTHON) -m pip install --quiet --upgrade --target $(VENV)/uv 'uv>=0.9'

demo: setup ## Bring the platform up and tell the story of a deployment, on real input
	$(RUN)sagacity demo --exit

up: setup ## Run the platform until Ctrl-C
	$(RUN)sagacity up

# With byte code kept: without it, every process that a test starts would compile all that it imports.
test: setup ## All tests, with a seeded sample of the crash matrix (under 10 minutes)
	PYTHONDONTWRITEBYTECODE= $(RUN)pytest -m 'not matrix' -n 3 --dist loadfile --no-loadscope-reorder

crash-matrix: setup ## Every event boundary × saga process, engine, worker, nats-server, PostgreSQL, process host (two hours)
	$(RUN)pytest -n 2 -m matrix --ignore tests/sagas/test_injected_failures.py

rollbacks: setup ## More than 1,000 injected failures, and what became of each
	$(RUN)pytest -m matrix -s tests/sagas/test_injected_failures.py

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

lock: | $(UV) ## Lock the newest allowed packages, with hashes
	$(UV) pip compile --quiet --universal --generate-hashes --group dev pyproject.toml --output-file requirements.lock

clean: ## Remove what the two commands made
	rm -rf $(VENV) .sagacity .pytest_cache .ruff_cache .hypothesis
