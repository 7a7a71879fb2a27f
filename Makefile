# demo test check bench docs clean: each makes what it needs, in virtual environments of its own.  Only Python >= 3.11 must be here.
#
#   make test PYTHON=python3.12 VENV=.venv-3.12     another interpreter, beside the first
#   make test ARGS="-k cookies"                     further arguments for pytest
#   make test TEST_ALL=1                            more examples, larger sizes, every case on both loops
#   make bench BEFORE=v0.1                          an earlier revision, measured beside today's

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
ARGS ?=
BEFORE ?=
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test check bench docs clean

help:
	@echo "make demo    the client at work, with a table at the end"
	@echo "make test    the whole suite"
	@echo "make check   formatting, lint, types, layers, public names, documentation"
	@echo "make bench   measure against other clients, and write docs/benchmarks.md"
	@echo "make docs    bring docs/reference up to date with the source"
	@echo "make clean   remove what these made"

# An old pip knows no dependency groups.
$(VENV)/pip.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	@touch $@

$(VENV)/%.stamp: pyproject.toml $(VENV)/pip.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group $*
	@touch $@

# node's ws, a peer of the WebSocket tests.  Without npm or a network those tests say so, and the next `make test` tries again.
$(VENV)/node.stamp: tests/node/package.json $(VENV)/pip.stamp
	@mkdir -p $(VENV)/node
	@cp $< $(VENV)/node
	@if command -v npm >/dev/null && cd $(VENV)/node && npm install --no-package-lock --no-audit --no-fund --loglevel=error \
		--fetch-retries=1 --fetch-timeout=20000 </dev/null >/dev/null; then touch ../$(@F); else echo "no node's ws here" >&2; fi

demo: $(VENV)/demo.stamp
	@$(BIN)/python -m demo

# Development mode and errors for warnings go through the environment, so that the processes of the tests have them too.  What is
# compiled is kept, whatever the environment says: else each process compiles wirebird anew, and each run rewrites all assertions.
test: $(VENV)/test.stamp $(VENV)/node.stamp
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m compileall -q src
	PYTHONDONTWRITEBYTECODE= PYTHONDEVMODE=1 PYTHONWARNINGS=error $(BIN)/python -m pytest -q -n $(JOBS) $(ARGS)

check: $(VENV)/check.stamp $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_layers.py tests/test_exports.py tests/test_docs.py

# Its own environment: a contender may need older versions of what the tests need.  One that cannot be installed is reported.
$(VENV)-bench/bench.stamp: pyproject.toml bench/requirements.txt
	$(PYTHON) -m venv $(VENV)-bench
	$(VENV)-bench/bin/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(VENV)-bench/bin/python -m pip install --quiet --disable-pip-version-check --editable .
	@grep -v '^ *\(#\|$$\)' bench/requirements.txt | while read -r name; do \
		$(VENV)-bench/bin/python -m pip install --quiet --disable-pip-version-check "$$name" </dev/null || echo "no $$name here" >&2; \
	done
	@touch $@

bench: $(VENV)-bench/bench.stamp
	$(VENV)-bench/bin/python -m bench $(if $(BEFORE),--before $(BEFORE))

docs: $(VENV)/pip.stamp
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) $(VENV)-bench .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
