# Two commands do everything on a fresh machine: `make demo` and `make test`.  They need Python 3.11, gcc and make.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint types wheel clean help

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

# Installed again only where the dependencies have changed; the code itself is installed editable.  facenet-pytorch pins a
# torch of years ago: it comes alone, for the weights of MTCNN, and none of its code is used.
$(READY): pyproject.toml setup.cfg
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[shots,dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps facenet-pytorch
	@touch $(READY)

install: $(READY)  ## make the virtual environment and install

demo: $(READY)  ## generate a world, build shards, train, evaluate, align; then the same on real clips
	@PATH="$(abspath $(BIN)):$$PATH" bash recipes/demo.sh

# A process for each core, one thread in each; a file stays together, for what its tests share is costly to make.  In
# their own order: by number of tests the longest file, which compiles every GPU kernel, would come last and alone.
test: $(READY)  ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --dist loadfile --no-loadscope-reorder

lint: $(READY)  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

wheel: $(READY)  ## build the wheel and hold its contents to the tree
	rm -rf build dist
	$(BIN)/python -m build --wheel --outdir dist .
	$(BIN)/python tests/check_wheel.py dist/*.whl

types: wheel  ## mypy on the package as it is installed from the wheel
	rm -rf build/site
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target build/site dist/*.whl
	cd build/site && MYPYPATH=. $(abspath $(BIN))/mypy --config-file ../../pyproject.toml -p weaksync

clean:  ## remove what was built, keep the environment
	rm -rf build dist demo runs .pytest_cache .mypy_cache .ruff_cache .hypothesis
