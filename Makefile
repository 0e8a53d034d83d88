# make demo   trains and compresses a small network on real digits, in about a minute
# make docs   the documentation as a site, in build/site
# make test   style, types, module directions and tests
# All prepare a virtual environment on the first call and use it again on the next.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

DEMO_OUT ?= runs/digits
DEMO ?= $(BIN)/tighten run digits --out $(DEMO_OUT)

.DEFAULT_GOAL := help
.PHONY: help demo docs test test-slow lint format clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -4

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# One stamp for each set of dependencies; a changed pyproject.toml or constraints.txt installs again.
$(VENV)/.stamp-run: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/.stamp-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP_INSTALL) -e '.[dev]'
	@touch $@

# Starts afresh each time: the run folder is the demo's own.
demo: $(VENV)/.stamp-run
	rm -rf $(DEMO_OUT)
	$(DEMO)

lint: $(VENV)/.stamp-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# Every warning is an error. The notice that is turned off advertises another program.
docs: $(VENV)/.stamp-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# One processor thread for each worker; the tests of a file share what they prepare.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n logical --maxprocesses 4 --dist loadfile

test: lint docs
	$(PYTEST) -m "not slow"

test-slow: $(VENV)/.stamp-dev
	$(PYTEST) -m slow

format: $(VENV)/.stamp-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
