# The README's commands are `make demo`, `make test` and `make ui`. Each sets up .venv by itself when it has to.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
export DAGSTER_HOME ?= $(CURDIR)/dagster_home
# A python3.11 or python3.12, whichever is found first; `make PYTHON=... setup` takes another.
PYTHON ?= $(firstword $(foreach p,python3 python3.12 python3.11,$(shell $(p) -c \
	'import sys; (3, 11) <= sys.version_info[:2] <= (3, 12) and print("$(p)")' 2>/dev/null)))

.PHONY: help demo test ui cluster cluster-stop cluster-status check format bench setup lock

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/' | expand -t 16

demo: setup  ## analyze the sample clip and say where its report lies
	@$(BIN)/tiktok-assets analyze samples/sample.mp4

test: setup  ## run the tests
	@$(BIN)/python -m pytest

ui: setup  ## Dagster's web interface and daemon on http://127.0.0.1:3000
	@test -e $(DAGSTER_HOME)/history || $(BIN)/dagster instance info > /dev/null  # two processes would race to make it
	@$(BIN)/dagster dev --host 127.0.0.1

cluster: setup  ## the same on warm workers: Redis, Postgres, 2 workers, webserver, daemon (docs/operating.md)
	@$(BIN)/python -m tiktok_assets.cluster.local start

cluster-stop: setup  ## stop it; runs at work are finished first
	@$(BIN)/python -m tiktok_assets.cluster.local stop

cluster-status: setup  ## what of it is up
	@$(BIN)/python -m tiktok_assets.cluster.local status

check: setup  ## style, types, definitions that load
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/dagster definitions validate > /dev/null

format: setup  ## put the code into shape
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

bench: setup  ## measure: seconds per analyzer, Dagster's share
	@$(BIN)/python bench/whole_run.py

setup: $(VENV)/.ready

$(VENV)/.ready: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 is needed; none was found."; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version): about 4 GB to fetch, 8 GB on disk, 1-10 minutes, once."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "  uv ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^uv==' requirements.lock)"
	@echo "  $$(grep -c == requirements.lock) packages, with compiled bytecode ..."
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --compile-bytecode requirements.lock
	@echo "  this project ..."
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q analyzers tiktok_assets
	@echo "  numba's cache for librosa ..."
	@$(BIN)/python -c 'import librosa, numpy; y = numpy.ones(22050, "f4"); librosa.feature.spectral_centroid(y=y); librosa.onset.onset_strength(y=y); librosa.beat.beat_track(y=y)'
	@touch $@
	@echo "Ready."

lock:  ## resolve requirements.lock anew from pyproject.toml
	@$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --no-header --no-annotate --quiet \
		| sed "s/ ; python_full_version < '3.13' and platform_machine == 'x86_64' and sys_platform == 'linux'$$//" \
		> requirements.lock.new && mv requirements.lock.new requirements.lock
