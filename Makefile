# Every target sets up what it needs, so on a fresh machine the first one typed works.
PYTHON ?= python3
TABLE ?= he2015_residual/table6
PRESET ?= auto
SEEDS ?= paper
JOBS ?= auto
A ?= results
RUNS ?= experiments/queue.txt
DATASET ?= cifar10

VENV := .venv
READY := $(VENV)/ready
RUN := $(VENV)/bin/python
# Compiled is what has been measured in full, unless another preset is named.
KEPT = --preset '$(if $(filter auto,$(PRESET)),paper,$(PRESET))'
HOW = --preset '$(PRESET)' --jobs '$(JOBS)' --minutes '$(MINUTES)' $(if $(PLAN),--plan) $(if $(YES),--yes)
# Saved and stopped, as MINUTES asks, is no error of make's.
STOPPED = || test $$? = 75

# A variable that is mistyped must not leave its default in force unseen.
KNOWN := A B DATASET FIGURE JOBS MINUTES NETWORKS PLAN PRESET PYTHON ROWS RUNS SEEDS TABLE VENV YES \
	DATA_DIR OUTPUT_DIR RESULTS_DIR SOURCE_COMMIT CUDA_% OMP_% WANDB_% CC
GIVEN := $(foreach word,$(MAKEOVERRIDES),$(if $(findstring =,$(word)),$(firstword $(subst =, ,$(word)))))
$(if $(filter-out $(KNOWN),$(GIVEN)),$(error $(filter-out $(KNOWN),$(GIVEN)) is no variable of this Makefile; it has $(KNOWN)))

.DEFAULT_GOAL := help
.PHONY: help doctor setup reproduce-table train status check table claims figure report compare wandb-sync data bench theory test test-all test-gpu lint architecture recipes

help: ## list the targets
	@echo "Residual to Dense. Two commands to start with: make reproduce-table, make test."
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup: $(READY) ## make .venv with everything in it (about three minutes; other targets do it too)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v[:2] <= (3, 13) else f"Python {v.major}.{v.minor} will not do: give 3.11, 3.12 or 3.13, as in make PYTHON=python3.12 ...")'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "$(PYTHON) has no venv module: install it (Debian: python3-venv)." >&2; exit 1; }
	@echo "Setting up $(VENV); this takes a few minutes once."
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

doctor: $(READY) ## look at everything a run depends on, a line each: versions, GPU, kernels, speed, data, disk
	@$(RUN) -m training.doctor

reproduce-table: $(READY) ## train what a table lacks and compile it: [TABLE=] [PRESET=auto|paper|tenth|smoke|imagenette] [SEEDS=paper|5] [ROWS=a,b] [JOBS=auto|4] [MINUTES=] [PLAN=1] [YES=1]
	@$(RUN) -m experiments.reproduce --table '$(TABLE)' --seeds '$(SEEDS)' --rows '$(ROWS)' $(HOW) $(STOPPED)

train: $(READY) ## train the runs that a file names, for so many minutes: [RUNS=experiments/queue.txt] [MINUTES=] [PRESET=] [JOBS=auto|4] [PLAN=1] [YES=1]
	@$(RUN) -m experiments.train --runs '$(RUNS)' $(HOW) $(STOPPED)

status: $(READY) ## what is being trained now, and how long it takes; from any shell
	@$(RUN) -m experiments.status

check: $(READY) ## may every record enter its table, and do its weights give its numbers?
	@$(RUN) -m experiments.verdicts.check

table: $(READY) ## compile tables from the records: [TABLE=he2015_residual/table6], all by default [PRESET=tenth]
	@$(RUN) -m experiments.compile table $(KEPT) $(if $(filter file,$(origin TABLE)),,'$(TABLE)')

claims: $(READY) ## what the papers claim, and whether our runs bear it out: [PRESET=tenth]
	@$(RUN) -m experiments.tables.claims $(KEPT)

figure: $(READY) ## draw figures from the records: [FIGURE=he2015_residual/fig6], all by default [PRESET=tenth]
	@$(RUN) -m experiments.compile figure $(KEPT) $(if $(FIGURE),'$(FIGURE)')

report: $(READY) ## tables, claims, figures, recipes and runs on a page each for the full schedule and a tenth: results/report/
	@$(RUN) -m experiments.report

compare: $(READY) ## two sets of records side by side: A=results B=../other/results, or B=results+precision=bf16
	@$(RUN) -m experiments.sharing.compare '$(A)' '$(B)'

wandb-sync: $(READY) ## tell Weights & Biases of every record, complete and in order: [PRESET=tenth]
	@$(RUN) -m experiments.sharing.wandb_sync $(KEPT)

data: $(READY) ## fetch and verify a data set: [DATASET=cifar10|cifar100|svhn]
	@$(RUN) -m data.sets $(DATASET)

bench: $(READY) ## how fast a training step is here, against the usual loop, and what limits it: [NETWORKS=resnet20,resnet110]
	@$(RUN) -m training.bench --networks '$(NETWORKS)'
	@$(RUN) -m experiments.figures.bench

theory: $(READY) ## what the papers' equations say, measured inside small networks (minutes): results/theory/
	@$(RUN) -m training.theory
	@$(RUN) -m experiments.figures.theory

architecture: $(READY) ## count what every row trains again: results/rows.csv, results/architecture.csv
	@$(RUN) -m training.counts.rows
	@$(RUN) -m experiments.papers.sums rows.csv tenth/rows.csv architecture.csv

recipes: $(READY) ## write the recipe sheet of each paper again: results/recipes/
	@$(RUN) -m experiments.papers.recipes

test: $(READY) ## the tests (minutes; those on real CIFAR-10 use DATA_DIR, or ./datasets)
	@$(RUN) -m pytest -n auto -m 'not slow'

test-all: $(READY) ## the tests, with the slow ones
	@$(RUN) -m pytest -n auto --hypothesis-profile all

test-gpu: $(READY) ## everything that is tested on a CUDA GPU: engines and kernels
	@$(RUN) -m pytest tests/training/engines

lint: $(READY) ## ruff and mypy
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy
