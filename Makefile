# `make demo` and `make test` are all a newcomer needs; `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SEKMET := .venv-sekmet
SOURCES := cds fhir_mappings hooks model tests benchmarks

.DEFAULT_GOAL := help
.PHONY: help demo test coverage lint types unit bench bench-gpu soak screenshots model clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 13

demo: $(VENV)/installed ## Install everything and run the main job on the embedded hospital (Ctrl-C ends it)
	$(BIN)/mammotrend demo $(DEMO)

test: $(VENV)/installed-dev $(SEKMET)/installed ## Install what the tests need and run every check and test, as CI does
	tests/system-parts.sh
	$(MAKE) lint types
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST)

coverage: ## The same, and say which lines no test runs, which takes half as long again
	$(MAKE) test PYTEST="--cov --cov-report=term $(PYTEST)"

lint: $(VENV)/installed-dev ## Check style
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: $(VENV)/installed-dev ## Check types
	$(BIN)/mypy

unit: $(VENV)/installed-dev ## Run the quick tests only
	$(BIN)/python -m pytest -m "not integration and not slow" $(PYTEST)

bench: $(VENV)/installed-dev ## Measure answer time and scoring speed, and print a table
	$(BIN)/python -m benchmarks.bench

bench-gpu: $(VENV)/installed-dev ## The same on a GPU alone: under five minutes, no server needed
	$(BIN)/python -m benchmarks.gpu

soak: $(VENV)/installed-dev ## Ten minutes of twenty EHRs, with an archive and an EHR that fail at random
	$(BIN)/python -m tests.soak --seconds 600 $(SOAK)

screenshots: $(VENV)/installed-dev ## Take the pictures in docs/images anew (needs Chromium)
	$(BIN)/python -m tests.browser.screenshots

model: $(VENV)/installed ## Train the demo model again from its seed (about 20 minutes on two cores)
	$(BIN)/python -m model.training

clean: ## Remove the virtual environments and caches
	rm -rf $(VENV) $(SEKMET) .mypy_cache .pytest_cache .ruff_cache .coverage .hypothesis

# A virtual environment counts only with its stamp, written last: what a failed or interrupted run leaves is made anew.
define make_venv
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "Python 3.11 or newer is needed: make PYTHON=python3.12"; exit 1; }
@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	{ echo "Python's venv module is missing; on Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
@rm -rf $(1)
$(PYTHON) -m venv $(1) || { rm -rf $(1); exit 1; }
endef

$(VENV)/made:
	$(call make_venv,$(VENV))
	$(BIN)/python -m pip install --quiet --upgrade pip || { rm -rf $(VENV); exit 1; }
	@touch $@

$(VENV)/installed: $(VENV)/made pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[samples]'
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[samples,dev]'
	@touch $@

$(SEKMET)/installed: tests/sekmet-requirements.txt
	$(call make_venv,$(SEKMET))
	$(SEKMET)/bin/python -m pip install --quiet --requirement tests/sekmet-requirements.txt || { rm -rf $(SEKMET); exit 1; }
	@touch $@
