# Two commands matter: `make demo` and `make test`. Each sets up what it needs, once.

PYTHON ?= python3
VENV := .venv
BLENDER_VENV := .venv-blender
BLENDER_VERSIONS := 4.2 4.5 5.0
VERSION := $(shell sed -n 's/^VERSION = "\(.*\)"/\1/p' threedimo/version.py)
EXTENSION := dist/threedimo-$(VERSION).zip
READY := $(VENV)/.ready
BLENDER_WINDOW := .cache/blender-window
BLENDER_READY := $(BLENDER_VERSIONS:%=$(BLENDER_VENV)/%/.ready)
PIP := -m pip install --quiet --disable-pip-version-check

.PHONY: help demo test test-library test-blender gui-test gui-pictures lint extension setup setup-blender serve clean

help: ## Show this list.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

demo: $(READY) ## Run the main job on the embedded model and write out/demo/.
	$(VENV)/bin/threedimo demo --output out/demo

test: lint test-library test-blender ## Run every test that needs no GPU.

test-library: $(READY) .cache/test-media/.ready
	$(VENV)/bin/python -m pytest

test-blender: $(READY) $(BLENDER_READY) $(EXTENSION) .cache/test-media/.ready
	@set -e; for version in $(BLENDER_VERSIONS); do \
		echo "Blender $$version"; \
		$(BLENDER_VENV)/$$version/bin/python -m pytest tests/blender -m blender; \
	done
	$(VENV)/bin/python -m pytest tests/training/blender_scenes -m blender

gui-test: $(READY) $(EXTENSION) $(BLENDER_WINDOW)/.ready ## Go through a user's day in Blender's window (Debian or Ubuntu, as root).
	$(VENV)/bin/python -m pytest tests/gui -m gui

gui-pictures: ## Renew the documentation's pictures from the last gui-test.
	for picture in $$(grep -oh 'images/blender-[a-z-]*\.[a-z]*' README.md blender_addon/README.md | sort -u); do \
		cp "out/gui/$${picture#images/}" "docs/$$picture"; \
	done

lint: $(READY) ## Check style, types and the import contracts.
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/pyright
	$(VENV)/bin/lint-imports

extension: $(EXTENSION) ## Build the Blender extension into dist/.

serve: $(READY) ## Start a server with the embedded model.
	$(VENV)/bin/threedimo serve

setup: $(READY) ## Make the Python environment .venv.

setup-blender: $(BLENDER_READY) ## Make the Blender environments .venv-blender/*.

$(READY): pyproject.toml training/pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "3DiMo needs Python 3.11 or newer; set PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
		|| { echo "python3 -m venv failed; on Debian: apt-get install python3-venv"; exit 1; }
	@echo "Installing the Python environment (about 2.6 GB, some minutes)"
	@# The CPU build of torch first and by its exact version: an open range would bring several GB for GPUs.
	$(VENV)/bin/python $(PIP) -c constraints.txt "torch==$$(sed -n 's/^torch==//p' constraints.txt)"
	$(VENV)/bin/python $(PIP) -c constraints.txt -e '.[server,dev]' -e training
	@touch $@
	@echo "Ready. $(VENV)/bin/threedimo serve starts the server, $(VENV)/bin/threedimo --help shows the rest"

$(BLENDER_VENV)/%/.ready: constraints-blender.txt tools/check_blender_libraries.sh
	@sh tools/check_blender_libraries.sh
	@echo "Installing Blender $* as a Python module (about 400 MB)"
	$(PYTHON) -m venv $(BLENDER_VENV)/$*
	$(BLENDER_VENV)/$*/bin/python $(PIP) -c constraints-blender.txt "bpy==$$(sed -n 's/^# bpy==\($*\.[0-9]*\)$$/\1/p' constraints-blender.txt)" numpy pytest
	@touch $@

$(EXTENSION): $(READY) $(BLENDER_VENV)/5.0/.ready $(shell find blender_addon threedimo/wire threedimo/camera -type f -not -path "*__pycache__*") tools/build_extension.py constraints-extension.txt LICENSE threedimo/__init__.py threedimo/errors.py threedimo/version.py
	$(VENV)/bin/python tools/build_extension.py --blender $(BLENDER_VENV)/5.0 --output dist

$(BLENDER_WINDOW)/.ready: tests/gui/make_chroot.sh
	sh tests/gui/make_chroot.sh $(BLENDER_WINDOW)
	@touch $@

.cache/test-media/.ready: tools/fetch_test_media.py $(READY)
	$(VENV)/bin/python tools/fetch_test_media.py .cache/test-media
	@touch $@

clean: ## Remove what was built; environments stay.
	rm -rf dist out build
