# Two commands set everything up: `make demo` runs the main job, `make test` the suite.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2

.PHONY: setup demo test test-full lint bench lock clean

setup: $(VENV)/.installed

# uv installs the same lock in a fraction of pip's time; where it cannot be had, pip does the whole work.
$(VENV)/.installed: pyproject.toml requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, found " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@echo "[setup 1/3] an environment of its own in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@echo "[setup 2/3] the installer uv, or else pip"
	@command -v uv >/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^uv==' requirements-dev.lock)" \
	  || echo "uv cannot be had here; pip takes some minutes longer"
	@echo "[setup 3/3] NOVOSKY and what it needs, about 1.5 GB on disk: half a minute to a few minutes"
	@PATH="$$PWD/$(BIN):$$PATH"; if command -v uv >/dev/null && uv pip install --python $(BIN)/python -r requirements-dev.lock; then :; \
	  else $(BIN)/python -m pip install --disable-pip-version-check -r requirements-dev.lock; fi
	@touch $@

demo: setup
	@$(BIN)/novosky demo

# Each worker takes neighbouring tests, so that what a file's tests share is made once, and helps out when it is done.
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

test: setup
	@$(PYTEST) $(PYTEST_ARGS)

test-full: setup
	@$(PYTEST) --full $(PYTEST_ARGS)

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup
	@$(BIN)/python -m bench

# Pin every dependency for all platforms; requirements.txt is the part a trader installs. Each list ends with the
# checkout itself, editable, so that one command installs the program and an update is a `git pull`.
COMPILE := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --quiet --no-header --no-emit-index-url --no-emit-find-links
ITSELF := "\# The program itself, from the checkout this file lies in: run the installation there.\n--editable .\n"
lock: setup
	@$(COMPILE) --output-file requirements.txt
	@$(COMPILE) --extra dev --constraint requirements.txt --output-file requirements-dev.lock
	@printf $(ITSELF) | tee -a requirements.txt >> requirements-dev.lock

clean:
	@rm -rf $(VENV) build dist *.egg-info demo reports .coverage .pytest_cache .mypy_cache .ruff_cache
