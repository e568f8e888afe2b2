# make demo         sets up, then opens JupyterLab with the demo on the local KFP
# make test         sets up, then runs every check
# make test-newest  the same with the newest packages that pyproject.toml allows, in .venv-newest
# make lock         renews the pinned versions that demo and test install
# make docs         sets up, then builds the documentation in docs/_build
# make bench        sets up, then measures what must stay fast
# make conformance PIPELINES=FOLDER  sets up, then runs the compiled pipelines of a folder, such as
#                   test_data/sdk_compiled_pipelines/valid of kubeflow/pipelines, on a local KFP
# make compare ENDPOINT=URL TOKENS=FOLDER  sets up, then makes the calls that were recorded on a
#                   cluster at another KFP: see tests/recorded_calls/__main__.py for what it needs
# make test-kubernetes  sets up, builds Kubernetes' API server with Go into ~/.cache (once: a quarter
#                   of an hour), and tests with it and with etcd what `make test` does with a stand-in
# make compatibility  sets up, then tries it with every Python, JupyterLab, Notebook and kfp for which
#                   it is said to work (a Python that is not in the PATH is left out)

PYTHON ?= python3
VENV := .venv
LOCK := .ci/lock.txt
BIN := $(VENV)/bin
FRONT := labextension/.yarn
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHON VENV LOCK
# Without it every process compiles again what it imports.
unexport PYTHONDONTWRITEBYTECODE

FRONT_END := $(shell find labextension/src labextension/style labextension/schema -type f) \
	labextension/package.json labextension/yarn.lock labextension/tsconfig.json \
	labextension/widget.rspack.mjs
# Only root needs it, and only root may have it.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)
AT_ONCE := $(MAKE) --no-print-directory -j 2

.PHONY: demo test test-newest test-kubernetes lock docs bench conformance compare compatibility format setup \
	setup-checks checks chromium clean ruff pytest mypy eslint jest

setup:
	@$(AT_ONCE) --silent $(VENV)/linked

setup-checks:
	@$(AT_ONCE) --silent $(VENV)/linked $(FRONT)/checks $(VENV)/tests $(VENV)/clients \
		$(VENV)/proxy/installed chromium

$(VENV)/tools: | .ci/setup
	@.ci/setup tools
	@touch $@

$(VENV)/python: pyproject.toml $(LOCK) | $(VENV)/tools
	@.ci/setup python
	@touch $@

$(FRONT)/packages: labextension/package.json labextension/yarn.lock | $(VENV)/tools
	@.ci/setup node
	@touch $@

$(FRONT)/built: $(FRONT_END) | $(FRONT)/packages $(VENV)/python
	@.ci/setup front-end
	@touch $@

# Installing the package anew replaces the link.
$(VENV)/linked: $(VENV)/python | $(FRONT)/built
	@.ci/setup link
	@touch $@

$(FRONT)/checks: labextension/package.json labextension/checks/package.json \
		labextension/yarn.lock | $(FRONT)/built
	@.ci/setup node-checks
	@touch $@

$(VENV)/tests: pyproject.toml $(LOCK) | $(VENV)/python
	@.ci/setup tests
	@touch $@

$(VENV)/docs: pyproject.toml $(LOCK) | $(VENV)/python
	@.ci/setup docs
	@touch $@

$(VENV)/clients: .ci/kfp1.txt | $(VENV)/python
	@.ci/setup clients
	@touch $@

$(VENV)/proxy/installed: .ci/proxy/package-lock.json | $(VENV)/tools
	@.ci/setup proxy
	@touch $@

demo: setup
	@echo "Starting JupyterLab and the local KFP ..."
	@$(BIN)/jupyter-lab $(AS_ROOT) --ServerApp.ip=127.0.0.1 --config=binder/jupyter_lab_config.py

test: setup-checks
	@$(MAKE) --no-print-directory ruff
	@$(AT_ONCE) pytest checks

# It runs beside the other checks, for it does not always need all processors.
pytest:
	@$(BIN)/python .ci/pytest_twice.py

checks: ruff mypy eslint jest

ruff:
	$(BIN)/ruff format --check . && $(BIN)/ruff check .

mypy:
	$(BIN)/mypy

eslint:
	cd labextension && jlpm check

jest:
	cd labextension && jlpm test

test-newest:
	@rm -f .venv-newest/python .venv-newest/tests
	@$(MAKE) --no-print-directory VENV=.venv-newest LOCK= test

test-kubernetes: setup $(VENV)/tests
	@program=$$(.ci/kube-apiserver) && { [ -z "$$program" ] || \
		KUBE_APISERVER=$$program $(BIN)/python -m pytest tests/cluster/test_real_kubernetes.py; }

lock: | $(VENV)/tools
	@.ci/renew-lock

docs: $(VENV)/docs
	$(BIN)/python -m sphinx -E -a -n -W --keep-going -q docs docs/_build
	@echo "The documentation is in docs/_build/index.html."

bench: setup $(VENV)/tests
	cd tests && ../$(BIN)/python -m bench $(PARTS)

conformance: setup $(VENV)/tests
	@test -n "$(PIPELINES)" || { echo "Name the folder: make conformance PIPELINES=/path/to/it" >&2; exit 2; }
	cd tests && ../$(BIN)/python -m conformance "$(abspath $(PIPELINES))"

compare: setup $(VENV)/tests
	@test -n "$(ENDPOINT)" -a -n "$(TOKENS)" || { echo "Name a KFP: make compare ENDPOINT=https://... TOKENS=/path/to/folder" >&2; exit 2; }
	cd tests && ../$(BIN)/python -m recorded_calls "$(ENDPOINT)" "$(abspath $(TOKENS))"

compatibility: setup-checks
	cd tests && ../$(BIN)/python -W ignore -m compatibility

format: setup $(VENV)/tests $(FRONT)/checks
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	cd labextension && jlpm fix

chromium:
	@.ci/setup chromium

clean:
	rm -rf .venv .venv-newest .demo jupyter_kfp_mt/labextension jupyter_kfp_mt/static labextension/lib \
		labextension/node_modules labextension/.yarn docs/_build
