# `make demo`: set up, train for a minute, print samples.   `make test`: set up, check and test, in minutes.
# `make test-fast`: the same checks, and a few cases of each test that runs no whole command or training; in a minute or so.
# `make test-all`: that, the longer proofs, the lowest versions that are promised, and the package installed elsewhere.
PYTHON ?= python3
BIN := .venv/bin
SHARED := --numprocesses auto --maxprocesses 8

.PHONY: demo test test-fast test-slow test-lowest test-package test-all dist coverage clean

demo: .venv/installed
	$(BIN)/charlm train data/austen.txt --max-time 60s --out checkpoints/demo --overwrite
	@echo; echo 'Three samples, as from: charlm sample -c checkpoints/demo --prompt "It is a truth "'; echo
	@$(BIN)/charlm sample -c checkpoints/demo --prompt "It is a truth " --num-samples 3 --length 300 --seed 1
	@echo; echo; echo 'Now yours: . .venv/bin/activate, then charlm train YOUR-TEXT.txt, then charlm sample'

test: .venv/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(SHARED) -m "not slow"

test-fast: .venv/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(SHARED) -m "not slow and not whole and not further"

test-slow: .venv/tested
	$(BIN)/python -m pytest $(SHARED) -m slow

test-lowest: .venv-lowest/installed
	.venv-lowest/bin/python -m pytest $(SHARED) -m "not slow" tests/cli tests/test_docs.py

.venv-lowest/installed: .venv/python pyproject.toml constraints.txt constraints-lowest.txt
	$(PYTHON) -m venv --clear .venv-lowest
	names=$$(sed -n 's/==.*//p' constraints-lowest.txt | paste -sd '|'); \
	grep -vE "^($$names)==" constraints.txt | cat - constraints-lowest.txt > .venv-lowest/constraints.txt
	.venv-lowest/bin/pip install --quiet --constraint .venv-lowest/constraints.txt --editable . hypothesis pytest pytest-timeout pytest-xdist
	@touch $@

test-package: dist
	PYTHON=$(PYTHON) .ci/package

dist: .venv/tested
	rm -rf dist
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m build --outdir dist .

test-all: test test-slow test-lowest test-package

coverage: .venv/tested
	$(BIN)/python -m pytest $(SHARED) --cov --cov-report=term

.venv/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "charlm needs Python 3.11 or later, not " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	@touch $@

.venv/installed: .venv/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	@touch $@

.venv/tested: .venv/installed requirements-test.txt
	$(BIN)/pip install --quiet --constraint constraints.txt --requirement requirements-test.txt
	@touch $@

clean:
	rm -rf .venv .venv-lowest .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
