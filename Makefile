# `make quickstart` and `make test` need Python 3.11 to 3.13 (with venv) and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: quickstart families test check format docs clean

quickstart: $(INSTALLED)  ## Train, evaluate, draw and export on the embedded data set; a few minutes
	$(BIN)/ctxseg quickstart

families: $(INSTALLED)  ## Train every family with three seeds; about two hours on two cores
	$(BIN)/python scripts/compare_families.py

test: $(INSTALLED)  ## Run all tests
	$(BIN)/python -m pytest -n 2 --dist loadgroup

check: $(INSTALLED)  ## Lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)  ## Put the formatting right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(INSTALLED)  ## Build the guide into site/
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	$(BIN)/mkdocs build --strict

clean:  ## Remove the environment and everything that a run makes
	rm -rf $(VENV) build dist runs site .pytest_cache .ruff_cache .mypy_cache *.egg-info

$(INSTALLED): pyproject.toml setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@
