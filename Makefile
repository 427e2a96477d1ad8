# Two commands from a fresh clone: `make demo` and `make test`. Each sets up all it needs in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PICK := $(BIN)/vitripick pick --format star --format cbox --format box --format csv --overlays

# Parts of the tests that run one after the other, each in processes of its own; what is not named here runs at the end.
# A process that has trained, exported, run two engines and a few thousand tests may die in one of the native libraries.
comma := ,
TEST_PARTS := tests/training,tests/models tests/cli,tests/programs \
  tests/formats,tests/geometry,tests/images,tests/evaluation,tests/pictures,tests/picking \
  tests/runs,tests/simulation,tests/samples tests/web
# One of the native libraries overwrites what glibc registers with the kernel for restartable sequences, and a worker dies of
# it now and then, which ends the tests in a hang. Without that registration it does not happen.
export GLIBC_TUNABLES := glibc.pthread.rseq=0
PYTEST := $(BIN)/pytest -n logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder

.PHONY: demo dev test docs live wheel fuzz lint types types-js clean

demo: $(VENV)/.installed
	$(PICK) examples/apoferritin/micrographs --diameter-px 80 --out demo/apoferritin
	$(PICK) examples/betagal/micrographs --diameter-px 27 --out demo/betagal
	$(PICK) examples/betagal_full_size/micrographs --diameter-px 108 --out demo/betagal_full_size
	$(PICK) examples/empty/micrographs --diameter-px 24 --out demo/empty
	$(BIN)/vitripick report demo/apoferritin demo/betagal demo/betagal_full_size demo/empty \
	  --labels examples/apoferritin/labels --labels examples/betagal/labels \
	  --labels examples/betagal_full_size/labels --labels examples/empty/labels \
	  --title "vitripick demo" --out demo/report.html
	@echo
	@echo "Open demo/report.html; the picks are in demo/*/star, cbox, box and csv, the pictures in demo/*/overlays."

# Only what a developer needs in .venv; then run a single test: .venv/bin/pytest -n 0 tests/formats
dev: $(VENV)/.installed-dev

test: $(VENV)/.installed-dev lint types types-js
	@set -e; for part in $(TEST_PARTS); do echo "tests: $$part"; $(PYTEST) $$(echo $$part | tr , ' '); done
	@echo "tests: all others"
	$(PYTEST) tests src docs --ignore=tests/live $(foreach folder,$(subst $(comma), ,$(TEST_PARTS)),--ignore=$(folder))

# Tests against other programs, which really run: `make live-relion` is the part in tests/live/relion. Each part installs
# what it needs. VITRIPICK_LIVE turns the skip of a test whose program is missing into a failure.
LIVE_PARTS := $(patsubst tests/live/%/install.sh,live-%,$(wildcard tests/live/*/install.sh))
.PHONY: $(LIVE_PARTS)
live: $(LIVE_PARTS)
$(LIVE_PARTS): live-%: $(VENV)/.installed-dev
	tests/live/$*/install.sh
	VITRIPICK_LIVE=$* $(BIN)/pytest -n 0 tests/live/$*

# The documentation as a site, strict about links: open site/index.html.
docs: $(VENV)/.installed-dev
	$(BIN)/python -m sphinx -q -a -W --keep-going -c tools/site -d build/doctrees . site
	@echo "Open site/index.html."

# A source archive, and a wheel made of it, in dist/.
wheel: $(VENV)/.installed-build
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist .

# Damaged files for every reader; FUZZ_SECONDS and FUZZ_SEED choose how many, and which. It ends with 1 if it finds anything.
FUZZ_SECONDS ?= 300
FUZZ_SEED ?= 0
fuzz: $(VENV)/.installed-dev
	$(BIN)/python tests/fuzz/mutate.py --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

# The page has no build step; Node.js only checks the types that its comments declare.
types-js: node_modules/.installed
	node_modules/.bin/tsc --project tsconfig.json

node_modules/.installed: package.json
	@command -v npm >/dev/null || { echo "the page's types are checked with TypeScript, which needs npm; on Debian and Ubuntu: apt-get install nodejs npm" >&2; exit 1; }
	npm install --no-package-lock --no-audit --no-fund --silent
	touch $@

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 10) else f"vitripick needs Python 3.10 or newer; $(PYTHON) is {v.major}.{v.minor}. Try: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[web,train]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.made pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@ $(VENV)/.installed

$(VENV)/.installed-build: $(VENV)/.made
	$(BIN)/pip install --quiet --disable-pip-version-check 'build>=1' 'setuptools>=77' wheel
	touch $@

clean:
	rm -rf dist build site $(VENV) .live node_modules demo .pytest_cache .mypy_cache .ruff_cache
