# `make demo` and `make test` set everything up by themselves; Python 3.11 or newer is all they need.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_DIR ?= build/demo

# `make conformance` has other people's tools judge our signatures; it installs them in build/.

# `make fuzz` draws new examples for the properties, many more than `make test`, which draws the same
# in every run.

.PHONY: demo test fuzz conformance check format clean bench

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
	HYPOTHESIS_PROFILE=fuzz $(BIN)/python -m pytest tests/test_tampering.py tests/test_ledgerdigest.py

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
	$(BIN)/python benchmarks/compose.py --rows 3700 100000
	$(BIN)/python benchmarks/verify.py --rows 3700 100000
	$(BIN)/python benchmarks/encode.py --rows 3700

clean:
	rm -rf $(VENV) build dist *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Teapot needs Python 3.11 or newer; name one: make PYTHON=python3.12 demo'; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: setup.cfg setup.py teapot/_batches.c teapot/_rows.c pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: setup.cfg setup.py teapot/_batches.c teapot/_rows.c pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/.core

$(VENV)/.bench: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet 'duckdb>=1.1' 'psutil>=6'
	@touch $@
