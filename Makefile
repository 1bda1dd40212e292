# Two commands set everything up on a bare Debian with Python 3.11: make demo, make test.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# Most of what is installed is never imported: what is, is compiled then.
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
RUN ?= runs/digits
# A process a core, each with one thread: most tests are too small for two.
PYTEST = OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/pytest -n auto --dist worksteal

.PHONY: demo test suite check fix slow clean

demo: $(VENV)/.installed
	$(BIN)/yolo-slim compress recipes/digits.toml --out $(RUN)
	@echo "The report lies at $(RUN)/report.html"

test: check suite

suite: $(VENV)/.installed-test
	$(PYTEST) -q

slow: $(VENV)/.installed-test
	$(PYTEST) -q -m slow

check: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(INSTALL) -e .
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(VENV)/bin/python
	$(INSTALL) -e ".[test]"
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) runs .pytest_cache .mypy_cache .ruff_cache
