# make demo    train, prove, compile and measure a network on the virtual board
# make test    the whole test suite;  make check adds linting and types;  make bench prints the benchmark table
# make flash   put the last build on a connected board (BOARD=... MODEL=... choose another)
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BOARD ?= stm32f746
ALPHA ?= 0.25

.PHONY: demo test check lint types format flash bench clean

# Everything from PyPI at pinned versions; no root, no system package.
$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "error: $(PYTHON) is older than Python 3.11; run make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/tinydeploy build --board $(BOARD) --alpha $(ALPHA)
	$(BIN)/tinydeploy bench

test: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2

check: $(VENV)/.installed lint types
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $$(git ls-files 'firmware_templates/*.c' 'firmware_templates/*.h')

types: $(VENV)/.installed
	$(BIN)/mypy

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $$(git ls-files 'firmware_templates/*.c' 'firmware_templates/*.h')

flash: $(VENV)/.installed
	$(BIN)/tinydeploy build --board $(BOARD) --alpha $(ALPHA)
	@$(MAKE) -C $$(cat build/.last) flash

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks.table

clean:
	rm -rf build
