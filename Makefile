# `make run` and `make test` do everything on a fresh machine; the rest is for those who work on the project.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
BENCH  ?=

SOURCES := $(shell find rtserver twisted -name '*.py' -o -name '*.toml' -o -name '*.lua' -o -name '*.sql' -o -path '*/letter_templates/*' -o -path 'rtserver/web/pages/*' -type f)

.PHONY: run test test-oldest lint format bench bench-http bench-payments autobahn-full proto docs-check clean

run: $(VENV)/.run
	$(BIN)/twistd -n --pidfile= rtserver

test: $(VENV)/.test
	scripts/prepare-tests
	$(BIN)/python -m pytest

test-oldest: $(VENV)/.test
	scripts/prepare-tests
	scripts/test-oldest

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.run
	$(BIN)/python -m bench.run $(BENCH)

bench-http: $(VENV)/.run
	$(BIN)/python -m bench.http $(BENCH)

bench-payments: $(VENV)/.run
	$(BIN)/python -m bench.payments $(BENCH)

autobahn-full: $(VENV)/.test
	scripts/prepare-tests
	AUTOBAHN_CASES=full $(BIN)/python -m pytest tests/live/test_autobahn.py

docs-check: $(VENV)/.test
	$(BIN)/python -m pytest tests/test_docs.py

proto: $(VENV)/.dev
	$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. rtserver/protocols/client.proto

clean:
	rm -rf $(VENV) .bench build dist *.egg-info

# The package is installed as a wheel: twistd finds no plugin in an editable install of this layout.
$(VENV)/.run: $(VENV)/.made setup.py constraints.txt $(SOURCES)
	scripts/fetch-assets
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt .
	@rm -rf build rtserver.egg-info
	@touch $@

$(VENV)/.test: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt '.[test]'
	@rm -rf build rtserver.egg-info
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt '.[dev]'
	@rm -rf build rtserver.egg-info
	@touch $@

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	@touch $@
