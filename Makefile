# On a machine with Python 3.11 to 3.14 two commands do everything: `make demo` and `make test`.

PYTHON ?= python3
VENV ?= .venv
DEMO_OUT ?= out/demo
# Networks of the demo: `limner` (shipped), or a folder with body.safetensors, hand.safetensors, face.safetensors.
WEIGHTS ?= limner
# A package index with the CPU build of torch, where your own has none; see docs/install.md.
TORCH_INDEX ?=
# Test processes; each has one thread.
JOBS ?= 2

BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
PHOTOS := src/limner/assets/photos

.PHONY: demo test check pytest format release clean

demo: $(VENV)/.limner
	@$(BIN)/limner estimate $(PHOTOS) --out $(DEMO_OUT) --weights $(WEIGHTS)
	@echo
	@echo "For each photo there is a folder below $(DEMO_OUT). Look at sheet.png first; person_0/mesh.glb opens in"
	@echo "Blender and in any glTF viewer. What every file holds: docs/results.md"

test: check pytest

check: $(VENV)/.limner-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --cache-dir $(VENV)/.import_linter_cache

pytest: $(VENV)/.limner-dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) --dist loadfile -rs

format: $(VENV)/.limner-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What goes to PyPI, built and tried in an empty environment; a tag vX.Y.Z makes .github/workflows/release.yml publish it.
release: $(VENV)/.limner-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check build twine
	rm -rf dist
	$(BIN)/python tools/try_wheel.py --keep dist $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
	@echo "dist/ is ready. Now: version and CHANGELOG.md right? Then git tag vX.Y.Z && git push --tags"

clean:
	rm -rf $(VENV) out .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.limner: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v < (3, 15) else \
		"limner needs Python 3.11 to 3.14, $(PYTHON) is %d.%d: name another one, e.g. make demo PYTHON=python3.12" % v[:2])'
	@echo "Installing limner into $(VENV): some minutes at the first time ..."
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) --editable .
	@touch $@

$(VENV)/.limner-dev: $(VENV)/.limner
	@echo "Installing the tools for tests into $(VENV) ..."
	@$(INSTALL) --editable '.[dev]'
	@touch $@
