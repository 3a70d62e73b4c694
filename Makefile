# Two commands do everything: `make run` and `make test`. Both set up what is missing first.
#
#   make run [RUNTIME=auto|guest|native]   scenario two-mr with every method -> results/two-mr/
#   make figures                           all figures: run, redraw, compare with results/reference
#   make test [JOBS=N]                     every test, the live ones in the guest; N at a time (one a processor)
#   make test-random [N=200] [SEED=1]      scenarios drawn at random, each against its closed forms (docs/testing.md)
#   make test-faults                       the table of docs/faults.md, every row in both families
#   make test-fuzz [TIME=600]              any bytes into whatever reads some, for so many seconds (docs/testing.md)
#   make exact [PARTS=all]                 the same bytes twice, beside load, masked, by others, on other machines
#   make vm-test                           the Vagrant machine in QEMU: provisioned, a native run, judged (needs root)
#   make bench [SUBJECTS=...]              speed, beside what was measured last, and what got worse (benchmarks/README.md)
#   make lint types clean                  what their names say

RUNTIME ?= auto
RESULTS ?= results
JOBS ?= $(shell nproc)
N ?= 200
SEED ?= 1
TIME ?= 600
VENV := $(if $(DMMLAB_VENV),$(DMMLAB_VENV),.venv)
export DMMLAB_VENV := $(VENV)
DMMLAB := $(VENV)/bin/dmmlab
PYTHON := $(VENV)/bin/python
KERNEL := $(if $(filter native,$(RUNTIME)),,kernel)

.PHONY: run test test-random test-faults test-fuzz lint types figures exact bench clean setup setup-dev setup-tests kernel vm-test

run: setup $(KERNEL)
	$(DMMLAB) run two-mr two-mr-no-redirect --runtime $(RUNTIME) --out $(RESULTS) --figures all --pdf --profile
	$(DMMLAB) figures F1 --from $(RESULTS)/two-mr --from $(RESULTS)/two-mr-no-redirect --out $(RESULTS)/two-mr/figures --pdf
	$(DMMLAB) report $(RESULTS)/two-mr

test: setup-tests kernel lint types
	$(PYTHON) -m pytest --numprocesses $(JOBS) --dist worksteal

test-random: setup-dev kernel
	DMMLAB_RANDOM=$(N) DMMLAB_RANDOM_SEED=$(SEED) DMMLAB_RANDOM_OUT=$(RESULTS)/random $(PYTHON) -m pytest -s \
	    tests/live/test_random_scenarios.py

test-faults: setup-tests kernel
	DMMLAB_FAULTS=all $(PYTHON) -m pytest --numprocesses $(JOBS) --dist worksteal tests/live/faults

test-fuzz: setup-dev
	$(PYTHON) tests/fuzz $(TIME)
	DMMLAB_MODEL=$$(($(TIME) * 10)) $(PYTHON) -m pytest -q -s tests/fuzz/test_model.py

lint: setup-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports

types: setup-dev
	$(VENV)/bin/mypy

figures: setup $(KERNEL)
	$(DMMLAB) reproduce --runtime $(RUNTIME) --out $(RESULTS)/campaign

exact: setup kernel
	tests/exact/exact.sh $(RESULTS)/exact $(PARTS)

vm-test: setup
	tests/vm/test.sh $(RESULTS)/vm

bench: setup kernel
	$(PYTHON) -m benchmarks $(SUBJECTS)

setup:
	@machine/provision.sh --no-dev

setup-dev:
	@machine/provision.sh

setup-tests:
	@machine/provision.sh --tests

kernel: setup
	@$(DMMLAB) guest build

clean:
	rm -rf .venv .view build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -exec rm -rf {} +
