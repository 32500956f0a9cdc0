# Works on a bare machine: any Python from 3.11 on, and make. Everything else goes into .venv, pinned and hashed.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$python && break; done)
PYTEST_ARGS ?= -n auto
COMPILE := $(VENV)-uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url

.PHONY: demo test check bench notebooks venv requirements clean

demo: $(VENV)/.dev ## A simulated day on a new SQLite file, learning as it goes
	$(BIN)/optimizer demo

test: check ## Everything that must pass
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(VENV)/.dev ## Lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.bench ## The figures: speed, and the replay against published routers and baselines
	$(BIN)/python -m benchmarks

notebooks: $(VENV)/.dev ## Make every notebook from the .py beside it
	$(BIN)/jupytext --quiet --to ipynb --update --update-metadata '{"jupytext": null}' notebooks/*.py

venv: $(VENV)/.dev ## The environment that all of these run in

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or newer with venv was found; install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.dev $(VENV)/.bench: $(VENV)/.%: requirements/%.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

requirements: | $(BIN)/python ## Pin anew: run `make requirements` after changing dependencies in pyproject.toml
	$(BIN)/python -m venv $(VENV)-uv
	$(VENV)-uv/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(COMPILE) pyproject.toml -o requirements/run.txt
	$(COMPILE) pyproject.toml --extra service --extra postgres -o requirements/serve.txt
	$(COMPILE) pyproject.toml --extra all --group dev -o requirements/dev.txt
	$(COMPILE) pyproject.toml --extra all --group dev --group bench -o requirements/bench.txt
	rm -rf $(VENV)-uv

clean: ## Remove the environment and what tools left behind
	rm -rf $(VENV) $(VENV)-uv $(VENV)-npm $(VENV)-peer build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
