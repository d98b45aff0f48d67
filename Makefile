# Each target sets up what it needs; a second call starts at once.
#   make train ARGS="--env=breakout --learned="
#   make test ARGS=tests/seed_metagrad/returns_test.py

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
RAY := .venv/.ray
DOCS := .venv/.docs

.PHONY: setup train test unit soak lint docs clean

setup: $(READY)

# Without ensurepip: some systems ship Python and pip but not that.
$(READY): requirements.txt pyproject.toml
	$(PYTHON) -m venv --without-pip .venv
	$(PYTHON) -m pip --python $(BIN)/python install -r requirements.txt
	$(BIN)/pip install --no-deps --no-build-isolation --editable .
	touch $@

train: $(READY)
	$(BIN)/seed-metagrad train $(ARGS)

# An extra that only tests need here; without it theirs are skipped.
$(RAY): $(READY)
	-$(BIN)/pip install --no-build-isolation --editable '.[ray]' && touch $@

test: $(RAY)
	$(BIN)/pytest $(ARGS)

# The tests without the long ones.
unit: $(READY)
	$(BIN)/pytest -m "not integration" $(ARGS)

# The long tests.
soak: $(RAY)
	$(BIN)/pytest $(or $(ARGS),$(wildcard tests/soak/*_soak.py))

lint: $(READY)
	$(BIN)/ruff check $(ARGS)

$(DOCS): $(READY)
	$(BIN)/pip install --no-build-isolation --editable '.[docs]' && touch $@

# The pages of docs/ and the API reference, in site/; any warning is an error.
docs: $(DOCS)
	$(BIN)/zensical build --clean --strict

# Runs are never deleted.
clean:
	rm -rf .venv build dist site *.egg-info .pytest_cache .ruff_cache .cache bazel-*
	find . -name __pycache__ -prune -exec rm -rf {} +
