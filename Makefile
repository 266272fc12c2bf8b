# Each target stands alone: it first makes .venv ready, from nothing but Python 3.11 or later (make PYTHON=… to choose one).
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help venv agents demo test check bench soak picture schemas clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 8

venv: ## make .venv what uv.lock says; instant when it is
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found; install Python 3.11 or later" >&2; exit 1; }
	@$(PYTHON) -I .ci/bootstrap.py

# The agents' own install scripts are run here, because newer versions of npm do not run them unasked.
agents: ## install the agents of tests/e2e, which the tests marked `opencode` run; instant when they are there; needs npm
	@cd tests/e2e && cmp -s package-lock.json node_modules/.lock || { \
		npm ci --no-audit --no-fund --ignore-scripts --loglevel=error && \
		(cd node_modules/opencode-ai && node postinstall.mjs) && \
		cp package-lock.json node_modules/.lock; }

demo: venv ## supervise real work on this checkout: configs/quickstart.toml
	@$(BIN)/callboard run configs/quickstart.toml

test: venv ## run the tests but the soak
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

check: venv ## check format, lint and types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/mypy .ci/bootstrap.py

bench: venv ## measure, and print a table
	$(BIN)/python -m tests.benchmarks

soak: venv ## run the tests that take minutes, then rounds of chaos without end; SEED=n for those alone, from there on, ROUNDS=n
	$(if $(SEED),,$(BIN)/python -m pytest -m soak -o faulthandler_timeout=3600)
	$(BIN)/python -m tests.chaos --seed $(or $(SEED),16) $(if $(ROUNDS),--rounds $(ROUNDS))

picture: venv ## draw configs/showcase.svg again, from the real screen in tmux
	$(BIN)/python -m tests.picture

schemas: venv ## write the documents of the port in configs/schemas again
	$(BIN)/python -m tests.schemas

clean: ## remove .venv and what tools left, but not .callboard, which holds your runs
	rm -rf .venv tests/e2e/node_modules build dist .coverage .hypothesis .mypy_cache .ruff_cache
	find actors protocols supervisor tests .ci -name __pycache__ -type d -prune -exec rm -rf {} +
