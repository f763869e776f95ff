# `make demo` and `make test` set everything up by themselves; Python 3.11 or newer is all they need.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_DIR ?= build/demo
ROWS ?= 3700 100000

# `make conformance` has other people's tools judge our signatures; it installs them in build/.

# `make fuzz` draws new examples for the properties, many more than `make test`, which draws the same
# in every run.

# `make bench` prints one table of all that is claimed of speed and size; `make bench ROWS=1000000`
# is the size that most goals are for. `make bench-encode` measures `teapot encode`.

.PHONY: demo test fuzz conformance check format clean bench bench-encode

demo: $(VENV)/.core
	@mkdir -p $(DEMO_DIR)
	@echo '$$ teapot plan configs/demo.config'
	@$(BIN)/teapot plan configs/demo.config
	@echo; echo '$$ teapot compose configs/demo.config'
	@$(BIN)/teapot compose configs/demo.config --output $(DEMO_DIR)/demo.jsonl
	@echo; echo '$$ teapot explain $(DEMO_DIR)/demo.jsonl 1'
	@$(BIN)/teapot explain $(DEMO_DIR)/demo.jsonl 1
	@echo '$$ teapot check $(DEMO_DIR)/demo.jsonl'
	@$(BIN)/teapot check $(DEMO_DIR)/demo.jsonl
	@echo; echo '$$ teapot verify $(DEMO_DIR)/demo.jsonl'
	@$(BIN)/teapot verify $(DEMO_DIR)/demo.jsonl

test: $(VENV)/.dev
	$(BIN)/python -m pytest

fuzz: $(VENV)/.dev
	HYPOTHESIS_PROFILE=fuzz $(BIN)/python -m pytest tests/test_tampering.py tests/test_ledgerdigest.py tests/test_ledgerdiff.py

conformance: $(VENV)/.dev
	$(BIN)/python -m pytest -m conformance tests/conformance

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	rm -rf build/check
	$(BIN)/python -m build --outdir build/check/dist
	$(PYTHON) -m venv build/check/venv
	build/check/venv/bin/python -m pip install --quiet build/check/dist/*.whl
	cd build/check && venv/bin/teapot --help
	cd build/check && venv/bin/teapot init starter && cd starter && ../venv/bin/teapot compose my-mix.config

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.bench
	@$(BIN)/python benchmarks/bench.py --rows $(ROWS)

bench-encode: $(VENV)/.bench
	$(BIN)/python benchmarks/encode.py --rows 3700

clean:
	rm -rf $(VENV) build dist *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Teapot needs Python 3.11 or newer; name one: make PYTHON=python3.12 demo'; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: setup.cfg setup.py teapot/_batches.c teapot/_columnlines.c teapot/_rows.c pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: setup.cfg setup.py teapot/_batches.c teapot/_columnlines.c teapot/_rows.c pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/.core

$(VENV)/.bench: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet \
		'duckdb>=2,<3' 'jsonschema-rs>=0.61,<0.62' 'polars>=2,<3' 'psutil>=6,<8'
	@touch $@
