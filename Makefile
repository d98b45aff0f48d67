# Each target sets up what it needs; a second call starts at once.
#   make train ARGS="--env=breakout --learned="
#   make test ARGS=tests/seed_metagrad/returns_test.py
#   make test PYTHON=python3.13 VENV=.venv-3.13

# The first that runs: pyenv puts commands on the PATH that do not.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3; do \
	$$name -c "" 2>/dev/null && echo $$name && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready-$(notdir $(PYTHON))
EXTRAS := $(VENV)/.extras
DOCS := $(VENV)/.docs
SNAKE := --preset=snake --trace_decay=0.9 --meta_learning_rate=0.01 \
	--total_env_frames=5000000 --workdir=runs/snake
SOURCES := actors benchmarks experiments learner protos seed_metagrad

.PHONY: setup train test unit soak coverage lint docs clean

setup: $(READY)

# An environment of another Python makes room. Without ensurepip: some systems
# ship Python and pip but not that.
$(READY): requirements.txt pyproject.toml
	[ -e $@ ] || [ ! -e $(VENV)/pyvenv.cfg ] || rm -rf $(VENV)
	$(PYTHON) -m venv --without-pip $(VENV)
	$(PYTHON) -m pip --python $(BIN)/python install -r requirements.txt
	$(BIN)/pip install --no-deps --no-build-isolation --editable .
	touch $@

# As it stands: Snake, from a discount that is too low. See it tune itself.
train: $(READY)
	$(BIN)/seed-metagrad train $(or $(ARGS),$(SNAKE))

# Extras that only tests need here; without them theirs are skipped.
$(EXTRAS): $(READY)
	-$(BIN)/pip install --no-build-isolation --editable '.[all]' && touch $@

test: $(EXTRAS)
	$(BIN)/pytest $(ARGS)

# The tests without the long ones, on all cores.
unit: $(READY)
	$(BIN)/pytest -m "not integration" -n auto --dist worksteal $(ARGS)

# The long tests.
soak: $(EXTRAS)
	$(BIN)/pytest $(or $(ARGS),$(wildcard tests/soak/*_soak.py))

# The processes that tests start are counted too.
coverage: $(EXTRAS)
	$(BIN)/pytest $(SOURCES:%=--cov=%) --cov-report=term $(ARGS)

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

$(DOCS): $(READY)
	$(BIN)/pip install --no-build-isolation --editable '.[docs]' && touch $@

# The pages of docs/ and the API reference, in site/; any warning is an error.
docs: $(DOCS)
	$(BIN)/zensical build --clean --strict

# Runs are never deleted.
clean:
	rm -rf .venv .venv-* build dist site *.egg-info .coverage* htmlcov
	rm -rf .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis bazel-*
	find . -name __pycache__ -prune -exec rm -rf {} +
