# `make up` installs and starts everything; `make test` proves it. TIFFIN_HOME, TIFFIN_PORT and the other TIFFIN_*
# variables of the README are honoured; PYTHON=/path/to/python3 chooses the Python that a new .venv is made with.
.PHONY: up test check bench soak docs lock console product dev help always
.DEFAULT_GOAL := help

TIFFIN_HOME ?= $(CURDIR)/.tiffin
export TIFFIN_HOME
# What would change the meaning of our own Python, or keep it from storing compiled files (starts take seconds longer).
unexport PYTHONHOME PYTHONPATH PYTHONDONTWRITEBYTECODE VIRTUAL_ENV

BIN := .venv/bin

help:
	@echo "make up      install into .venv, build the console, start Tiffin in the foreground"
	@echo "make test    run every test (installs what they need)"
	@echo "make check   formatter, linter, types, architecture, locks, documents"
	@echo "make bench   run every benchmark; each prints its claim as a ratio"
	@echo "make soak    kill the server 50 times under load, and look for what was lost"
	@echo "make docs    write the generated documents again"
	@echo "make lock    write the dependency locks again from pyproject.toml (UPGRADE=1: newest versions)"

up: .venv/product
	@$(BIN)/python tools/build_console.py \
		|| echo "tiffin: the console could not be built (see above); everything else starts, and the next make up tries again"
	@exec $(BIN)/tiffin up

test: .venv/dev console
	@$(BIN)/python -m pytest

check: .venv/dev
	@echo "format";       $(BIN)/ruff format --check --quiet .
	@echo "lint";         $(BIN)/ruff check --quiet .
	@echo "types";        $(BIN)/mypy --no-error-summary
	@echo "architecture"; $(BIN)/python -m pytest --quiet --no-header tests/test_architecture.py
	@echo "locks";        $(BIN)/python tools/lock.py --check
	@echo "documents";    $(BIN)/python tools/docs.py --check

bench: .venv/dev
	@failed=; for file in benchmarks/bench_*.py; do \
		echo "== $$file"; $(BIN)/python "$$file" || failed="$$failed $$file"; \
	done; test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

soak: .venv/dev console
	@TIFFIN_KILLS=50 TIFFIN_CALLS=1000 $(BIN)/python -m pytest -s tests/faults

docs: .venv/dev
	@$(BIN)/python tools/docs.py

lock: .venv/dev
	@$(BIN)/python tools/lock.py $(if $(UPGRADE),--upgrade)

product: .venv/product
dev: .venv/dev
console: .venv/product
	@$(BIN)/python tools/build_console.py

# --- what is made once, and again when what it is made from changes
FIND_PYTHON = for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python); do \
		"$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
		python=; \
	done; \
	test -n "$$python" || { \
		echo "Tiffin needs Python 3.11 or newer with its venv module (on Debian: apt install python3-venv)." >&2; \
		echo "Tried: $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python). Name one: make PYTHON=/path/to/python3" >&2; \
		exit 1; }

.venv/product: requirements.lock requirements-models.lock tools/install.py
	@$(FIND_PYTHON); "$$python" tools/install.py product

.venv/dev: .venv/product requirements-dev.lock
	@$(BIN)/python tools/install.py dev

# A .venv that was moved here from elsewhere, or whose Python has been removed, is made again.
ifneq ($(shell test -x $(BIN)/python && grep -qsxF "$$(pwd -P)" .venv/product && echo whole),whole)
.venv/product: always
endif
