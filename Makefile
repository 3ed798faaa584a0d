# Two commands set everything up: `make demo` runs the main job, `make test` the suite.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2

.PHONY: setup demo test test-full lint bench lock clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml requirements-dev.lock
	@echo "Setting up $(VENV); this takes a minute or two the first time."
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, found " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: setup
	@$(BIN)/novosky demo

test: setup
	@$(BIN)/python -m pytest -n $(WORKERS) $(PYTEST_ARGS)

test-full: setup
	@$(BIN)/python -m pytest -n $(WORKERS) --full $(PYTEST_ARGS)

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup
	@$(BIN)/python -m bench

# Pin every dependency for all platforms; requirements.txt is the part a trader installs.
lock: setup
	@$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --quiet --no-header --no-emit-index-url --no-emit-find-links --output-file requirements.txt
	@$(BIN)/uv pip compile pyproject.toml --extra dev --constraint requirements.txt --universal --python-version 3.11 --quiet --no-header --no-emit-index-url --no-emit-find-links --output-file requirements-dev.lock

clean:
	@rm -rf $(VENV) build dist *.egg-info demo reports .coverage .pytest_cache .mypy_cache .ruff_cache
