# Two commands matter: `make demo` and `make test`. Both install into .venv first, once.

PYTHON ?= python3
# tensorflow-cpu has wheels for Linux and Windows on x86 only; on macOS and aarch64: make TENSORFLOW=tensorflow
TENSORFLOW ?= tensorflow-cpu
WORKERS ?= 2
PYTEST_ARGS ?=
DEMO_ARGS ?=
REPORT_ARGS ?=
BENCH_ARGS ?=
GPU_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt
EXTRAS := mmseg,mmcv-lite,keras,$(TENSORFLOW),jax,demo,evaluate,topology,dask,audit,nifti,study,test,loops,peers
STAMP := $(VENV)/.installed-$(TENSORFLOW)
PEERS := $(VENV)/.peers-$(TENSORFLOW)
# one thread per worker and framework, or they fight over the cores
THREADS := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all report bench gpu lint release-check oldest-check clean

help:  ## this list
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP)  ## both worlds, the demo and the tests into .venv, at the versions of constraints.txt

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo \
	  "segparity needs Python 3.11, 3.12 or 3.13, which '$(PYTHON)' is not: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo \
	  "'$(PYTHON) -m venv' failed; on Debian and Ubuntu it comes with the package python3-venv" >&2; exit 1; }

# segmentation_models_pytorch comes without what it asks for: its losses need PyTorch alone, and the torchvision that it
# would bring fails beside a PyTorch for the CPU, where MMEngine then fails too
$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@rm -f $(VENV)/.installed-* $(VENV)/.peers-*
	@echo 'Installing PyTorch, TensorFlow, JAX and segparity into $(VENV), once; this takes minutes.'
	$(PIP) -e '.[$(EXTRAS)]'
	$(PIP) --no-deps segmentation-models-pytorch
	@touch $@

demo: install  ## both worlds train on the same pictures, and a page shows what they did
	$(BIN)/segparity demo $(DEMO_ARGS)

test: install  ## every test that is not slow and needs no GPU
	$(THREADS) $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(PYTEST_ARGS)

test-all: install  ## every test that needs no GPU, those that take long too
	$(THREADS) $(BIN)/python -m pytest -m 'not gpu' -n $(WORKERS) --dist loadgroup $(PYTEST_ARGS)

report: install  ## the parity tables, in Markdown
	@$(BIN)/segparity report --golden tests/golden $(REPORT_ARGS)

$(PEERS): $(STAMP)
	$(PIP) -e '.[$(EXTRAS),bench]'
	@touch $@

bench: $(PEERS)  ## time, memory and accuracy beside MONAI, segmentation_models_pytorch and others, into bench_out
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

# the environment of the GPU's PyTorch: .venv where it is, else PYTHON; nothing is installed
gpu:  ## on a CUDA card: values, tests, time, memory and traffic, into gpu_report.md
	$(or $(wildcard $(BIN)/python),$(PYTHON)) benchmarks/gpu_report.py $(GPU_ARGS)

lint: install  ## ruff: check and format; mypy: types
	$(PIP) ruff mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

release-check:  ## wheel and sdist in fresh environments, with either world alone
	PYTHON=$(PYTHON) TENSORFLOW=$(TENSORFLOW) .ci/release-check

oldest-check:  ## the lower bounds of pyproject.toml in environments of their own, against the reference
	PYTHON=$(PYTHON) .ci/oldest-check

clean:  ## remove everything that the targets above made
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis work_dirs demo_out study_out bench_out gpu_report.md release-check oldest-check
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
