# One command runs it, one command tests it: `make run`, `make test`. `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run test check format bench screens screen-costs shell exec lock clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_WORKERS ?= 2
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# A file of pip's own hashing: installing again happens when the requirements change, and only then.
base_hash := $(VENV)/base-$(shell cksum requirements/base.txt | cut -d' ' -f1)
dev_hash := $(VENV)/dev-$(shell cksum requirements/dev.txt | cut -d' ' -f1)

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(base_hash) ## Run everything on this machine (PORT=8000, ARUN_DATA=.arun)
	@exec $(BIN)/python manage.py up

test: check ## Run every check and test (COVERAGE=1 counts lines as well)
ifdef COVERAGE
	@$(BIN)/coverage erase
	@$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadgroup --cov --cov-report= $(ARGS)
	@$(BIN)/coverage report --fail-under=90
else
	@$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist loadgroup $(ARGS)
endif

check: $(dev_hash) ## Lint, types, import contracts, missing migrations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports
	DJANGO_SETTINGS_MODULE=arun_saas.settings.test $(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run

format: $(dev_hash) ## Format the code and fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(dev_hash) ## Measure the cycle and the send path
	@$(BIN)/python -m pytest -q -s -p no:cacheprovider -o python_files='bench_*.py' tests/bench $(ARGS)

screens: $(dev_hash) ## Photograph every screen: make screens FOLDER=/tmp/screens EMAIL=... PASSWORD=... (PORT=8000)
	$(BIN)/python scripts/screens.py $(FOLDER) --address http://localhost:$(or $(PORT),8000) --email $(EMAIL) --password $(PASSWORD)

screen-costs: $(dev_hash) ## Write docs/screens.md anew: queries and bytes of each screen
	ARUN_WRITE_SCREEN_COSTS=1 $(BIN)/python -m pytest -q -n 0 tests/web/test_screen_cost.py

shell: $(base_hash) ## Open a Django shell beside a running copy
	@exec $(BIN)/python -m arun_saas.embedded exec python manage.py shell

exec: $(base_hash) ## Run CMD beside a running copy: make exec CMD="python manage.py showmigrations"
	@exec $(BIN)/python -m arun_saas.embedded exec $(CMD)

lock: ## Write requirements/*.txt anew from requirements/*.in
	@$(PYTHON) -m venv .arun-lock && .arun-lock/bin/pip install --quiet uv
	@cd requirements && for name in base dev; do \
		../.arun-lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
			--no-emit-index-url --emit-build-options --no-header $$name.in -o $$name.txt || exit 1; done
	@rm -rf .arun-lock

clean: ## Remove caches and reports (never data or .venv)
	@find . -path ./$(VENV) -prune -o -path ./.arun -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage .coverage.* htmlcov test-results

$(VENV)/bin/pip:
	@command -v $(PYTHON) > /dev/null || { echo "ARUN needs Python 3.11 or newer; $(PYTHON) was not found. Set PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "ARUN needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) -V). Set PYTHON=python3.11" >&2; exit 1; }
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "$(PYTHON) cannot make a virtual environment; on Debian: apt install python3-venv" >&2; rm -rf $(VENV); exit 1; }

$(base_hash): | $(VENV)/bin/pip
	@echo "installing requirements/base.txt"
	@$(BIN)/pip install --quiet --require-hashes -r requirements/base.txt
	@rm -f $(VENV)/base-*; touch $@

$(dev_hash): | $(VENV)/bin/pip
	@echo "installing requirements/dev.txt"
	@$(BIN)/pip install --quiet --require-hashes -r requirements/dev.txt
	@rm -f $(VENV)/dev-* $(VENV)/base-*; touch $@ $(base_hash)  # dev.txt holds all of base.txt
