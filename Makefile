# `make quickstart` and `make test` need Python 3.11 to 3.13 (with venv) and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
CLIENTS := $(VENV)/clients/.installed
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: quickstart bakeoff benchmarks test test-all fuzz coverage wheel-check check format docs clean

quickstart: $(INSTALLED)  ## Train, evaluate, draw and export on the embedded data set; a few minutes
	$(BIN)/ctxseg quickstart

CAMVID ?= data/camvid
bakeoff: $(INSTALLED)  ## Train every system and its baseline, or go on; days on two cores (CAMVID=folder)
	$(BIN)/python benchmarks/bakeoff.py --camvid $(CAMVID)

BENCH := $(BIN)/ctxseg benchmark --exports runs/benchmark
benchmarks: $(INSTALLED)  ## Measure everything in docs/benchmarks.md again; an idle machine, 20 minutes
	$(BENCH) --model deeplabv3plus_resnet50 --against ksac_resnet50 --against tf-models --against keras-hub \
		--repeats 15 --json docs/benchmarks/peers.json
	$(BENCH) --model deeplabv3plus_resnet50 --size 257x257 --forms training --against tf-models \
		--repeats 12 --json docs/benchmarks/training.json
	$(BENCH) --model deeplabv3_resnet50 --against deeplabv3plus_resnet50 --against ksac_resnet50 \
		--against rsp_resnet50 --forms saved_model --repeats 15 --json docs/benchmarks/families-16.json
	$(BENCH) --model fcn_resnet50 --against encnet_resnet50 --against spacemeshlab_resnet50 \
		--against spinenet_seg_s49 --forms saved_model --repeats 15 --json docs/benchmarks/families-8.json
	$(BENCH) --model ksac_mobilenet_v2 --forms keras saved_model litert litert-int8 \
		--repeats 20 --json docs/benchmarks/forms.json
	$(BIN)/ctxseg benchmark --page docs/benchmarks.md

# A file's tests run in one worker, which makes its expensive fixtures once.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile
test: $(INSTALLED)  ## Run the tests; about 14 minutes on two cores
	$(PYTEST) -m "not whole"

# TensorFlow keeps some 100 MB of every `fit` until its process ends; so fresh processes for each of
# these, and for all the rest. Every part runs, whatever the others find.
PARTS := tests/models tests/export tests/training tests/distribution tests/evaluation
test-all: $(INSTALLED) $(CLIENTS)  ## Run all tests, whole runs and clusters of processes too, and wheel-check
	failed=0; \
	for part in $(PARTS) "tests $(PARTS:%=--ignore=%)"; do $(PYTEST) $$part || failed=1; done; \
	$(MAKE) wheel-check || failed=1; \
	exit $$failed

FUZZ_EXAMPLES ?= 20000
fuzz: $(INSTALLED)  ## Try so many new malformed inputs of each kind (FUZZ_EXAMPLES=20000); an hour or two
	FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/python -m pytest tests/fuzz

coverage: $(INSTALLED)  ## Run the tests and print line coverage by file
	$(BIN)/coverage erase
	failed=0; \
	$(MAKE) test PYTEST="$(PYTEST) --cov --cov-append --cov-report=" || failed=1; \
	$(BIN)/coverage report || failed=1; \
	exit $$failed

wheel-check: $(INSTALLED)  ## Build the wheel, install it in an empty environment elsewhere, and use it
	$(BIN)/python scripts/check_wheel.py

check: $(INSTALLED)  ## Lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)  ## Put the formatting right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.docs  ## Build the guide into site/; any warning is an error
	$(BIN)/mkdocs build --strict

clean:  ## Remove the environment and everything that a run makes
	rm -rf $(VENV) build dist runs site .coverage* .pytest_cache .ruff_cache .mypy_cache *.egg-info

$(INSTALLED): pyproject.toml setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

# Programs that open exports, apart from the package: MediaPipe needs another absl than it does. Their
# tests skip where they do not install.
$(CLIENTS): $(INSTALLED)
	$(PYTHON) -m venv $(VENV)/clients
	-$(VENV)/clients/bin/python -m pip install --quiet "mediapipe>=1.2,<2"
	touch $@

$(VENV)/.docs: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	touch $@
