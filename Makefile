# make demo   sets up, then opens JupyterLab with the demo on the local KFP
# make test   sets up, then runs every check
# make bench  sets up, then measures what must stay fast
# make conformance PIPELINES=FOLDER  sets up, then runs the compiled pipelines of a folder, such as
#             test_data/sdk_compiled_pipelines/valid of kubeflow/pipelines, on a local KFP

PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

FRONT_END := $(shell find labextension/src labextension/style labextension/schema -type f) \
	labextension/package.json labextension/yarn.lock labextension/tsconfig.json
# Only root needs it, and only root may have it.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)

.PHONY: demo test bench conformance format setup chromium clean

setup: .venv/installed .venv/front-end

.venv/installed: pyproject.toml
	@PYTHON="$(PYTHON)" .ci/setup python
	@touch $@

.venv/front-end: $(FRONT_END) | .venv/installed
	@.ci/setup front-end
	@touch $@

.venv/clients: .ci/setup | .venv/installed
	@.ci/setup clients
	@touch $@

demo: setup
	@$(BIN)/jupyter lab $(AS_ROOT) --ServerApp.ip=127.0.0.1 --config=binder/jupyter_lab_config.py

test: setup .venv/clients chromium
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	cd labextension && jlpm check
	cd labextension && jlpm test
	$(BIN)/pytest

bench: setup
	cd tests && ../$(BIN)/python -m bench

conformance: setup
	@test -n "$(PIPELINES)" || { echo "Name the folder: make conformance PIPELINES=/path/to/it" >&2; exit 2; }
	cd tests && ../$(BIN)/python -m conformance "$(abspath $(PIPELINES))"

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	cd labextension && jlpm fix

chromium:
	@.ci/setup chromium

clean:
	rm -rf .venv .demo jupyter_kfp_mt/labextension labextension/lib labextension/node_modules
