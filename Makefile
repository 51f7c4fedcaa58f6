# `make demo`: set up, train for a minute, print samples.   `make test`: set up, check and test.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test clean

demo: .venv/installed
	$(BIN)/charlm train data/austen.txt --max-time 60s --out checkpoints/demo --overwrite
	@echo; echo 'Three samples, as from: charlm sample -c checkpoints/demo --prompt "It is a truth "'; echo
	@$(BIN)/charlm sample -c checkpoints/demo --prompt "It is a truth " --num-samples 3 --length 300 --seed 1
	@echo; echo; echo 'Now yours: . .venv/bin/activate, then charlm train YOUR-TEXT.txt, then charlm sample'

test: .venv/tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --cov --cov-report=term

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
	rm -rf .venv .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis
