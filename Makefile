# make run     install what is missing, then start the daemon:  make run ARGS="--model /path/to/model"
# make test    install what the tests need, then run them all, a file on each core:  make test ARGS="-k vote"
#              (in one process, as a debugger wants it: ARGS="-n 0 --pdb")
# make clients install the third-party clients that some tests run, each apart from the others; `make test` does it too
# make check   format, lint, types, import contracts
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check
ARGS ?=
# Whole files, as many share one daemon; the longest come first in the order of their folders: cluster, edge, unit.
SIDE_BY_SIDE := --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: run test clients check format clean
.DELETE_ON_ERROR:

run: $(VENV)/installed
	$(VENV)/bin/python main.py --auto --federation $(ARGS)

test: $(VENV)/bin/python
	@$(MAKE) --no-print-directory --jobs=2 $(VENV)/installed-test clients
	$(VENV)/bin/python -m pytest $(SIDE_BY_SIDE) --hypothesis-profile=ci $(ARGS)

clients: $(VENV)/bin/python
	$(VENV)/bin/python scripts/set_up_clients.py

check: $(VENV)/installed-check
	scripts/check

format: $(VENV)/installed-check
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v >= (3, 11) else f"Local Swarm needs Python 3.11 or later; $(PYTHON) is {v[0]}.{v[1]}. Name another one: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml requirements/no-deps.txt
	@echo "Installing (torch is large: some minutes the first time) ..."
	$(PIP) --no-deps -r requirements/no-deps.txt
	$(PIP) -e .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(PIP) -e ".[test]"
	@touch $@

$(VENV)/installed-check: $(VENV)/installed-test
	$(PIP) -e ".[test,check]"
	@touch $@

clean:
	rm -rf $(VENV) .clients
