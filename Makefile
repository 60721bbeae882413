# Four commands: `make demo`, `make run`, `make check`, `make test`. The first one run creates .venv and installs into it.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --disable-pip-version-check
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo run engine check lint format test faults gpu docs clean

help:  ## what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo '  arguments go behind ARGS=, for example: make demo ARGS=--no-serve'

# Each requirements file includes the one before it, so a newer installation serves for an older one: the stamps are
# touched together, and only after pip has succeeded.
$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo '$(PYTHON) is older than Python 3.11: name a newer one, for example  make PYTHON=python3.12 $(MAKECMDGOALS)' >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-run: requirements.txt | $(VENV)/pyvenv.cfg
	$(PIP) -r requirements.txt
	@touch $@

$(VENV)/.installed-demo: requirements-demo.txt requirements.txt | $(VENV)/pyvenv.cfg
	$(PIP) -r requirements-demo.txt
	@touch $(VENV)/.installed-run $@

$(VENV)/.installed-dev: requirements-dev.txt requirements-demo.txt requirements.txt | $(VENV)/pyvenv.cfg
	$(PIP) -r requirements-dev.txt
	@touch $(VENV)/.installed-run $(VENV)/.installed-demo $@

demo: $(VENV)/.installed-demo  ## two sample contests from data to submission (about 8 minutes), then the workbench on them
	@$(PY) -m core demo $(ARGS)

run: $(VENV)/.installed-run  ## the workbench on ./workspace, or on PITWALL_WORKSPACE
	@$(PY) -m app $(ARGS)

engine: $(VENV)/.installed-run  ## work through the queue without a browser
	@$(PY) -m core engine $(ARGS)

lint: $(VENV)/.installed-dev  ## format, lint and types
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m pyright

check: lint  ## lint and the fast tests: about 6 minutes
	$(PY) -m pytest -q -n 2 -m 'not slow and not browser' $(ARGS)

test: lint $(VENV)/.installed-dev  ## lint and every test, with a real Chromium: about half an hour
	$(PY) tests/browser/chromium.py
	$(PY) -m pytest -q -n 2 -m 'not slow and not browser' $(ARGS)
	$(PY) -m pytest -q -m 'slow or browser' $(ARGS)

faults: $(VENV)/.installed-dev  ## kill, freeze and fill things many times over; ARGS='kill_worker b7' names some: under an hour
	$(PY) -m tests.faults $(ARGS)

gpu:  ## check training on a CUDA card, in under eight minutes and with nothing to install: make gpu PYTHON=python3
	@$(PYTHON) tests/training/gpu.py $(ARGS)

format: $(VENV)/.installed-dev  ## put the code in order
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

docs: $(VENV)/.installed-run  ## write docs/settings.md anew from the models
	$(PY) -m core settings --markdown > docs/settings.md

clean:  ## remove the demo's workspace and the tools' caches; never ./workspace
	rm -rf demo-workspace .pytest_cache .ruff_cache .hypothesis
