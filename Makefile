# Every target sets up what it needs, so on a fresh machine the first one typed works.
PYTHON ?= python3
# These are taken from the command line, and not from an environment that happens to have them.
TABLE = he2015_residual/table6
PRESET = auto
SEEDS = paper
JOBS = auto
A = results
B =
RUNS = experiments/queue.txt
DATASET = cifar10
ROWS =
MINUTES =
PLAN =
YES =
FIGURE =
NETWORKS =

SELF := $(lastword $(MAKEFILE_LIST))
VENV := .venv
READY := $(VENV)/ready
BUSY := $(VENV)/busy
RUN := $(VENV)/bin/python
# A value as one word of the shell, whatever it holds.
WORD = '$(subst ','\'',$(1))'
# A switch is off if empty, 0, no, off or false.
ON = $(filter-out 0 n N no No NO off Off OFF false False FALSE,$(1))
# Compiled is what has been measured in full, unless another preset is named.
KEPT = --preset $(call WORD,$(if $(filter auto,$(PRESET)),paper,$(PRESET)))
HOW = --preset $(call WORD,$(PRESET)) --jobs $(call WORD,$(JOBS)) --minutes $(call WORD,$(MINUTES)) $(if $(call ON,$(PLAN)),--plan) $(if $(call ON,$(YES)),--yes)
# Saved and stopped, as MINUTES asks, is no error of make's.
STOPPED = || { code=$$?; test $$code = 75 || exit $$code; }

# A variable that is mistyped, or that a target has no use for, must not be ignored unseen. What a
# target takes stands in brackets behind its description.
ALWAYS := PYTHON VENV DATA_DIR OUTPUT_DIR RESULTS_DIR SOURCE_COMMIT CUDA_% OMP_% WANDB_% CC
GIVEN := $(foreach word,$(MAKEOVERRIDES),$(if $(findstring =,$(word)),$(firstword $(subst =, ,$(word)))))
GOALS := $(or $(MAKECMDGOALS),help)
EMPTY :=
HASH := \#
TARGETS := $(subst $(EMPTY) ,|,$(strip $(GOALS)))
TAKEN = $(shell sed -nE 's/^($(TARGETS)):.*$(HASH)$(HASH) .*\[(.*)\]$$/\2/p' $(SELF) | tr ' ' '\n' | sed -n 's/=.*//p')
WRONG := $(if $(GIVEN),$(filter-out $(ALWAYS) $(TAKEN),$(GIVEN)))
$(if $(word 2,$(VENV)),$(error VENV=$(VENV) holds a blank; choose a folder without))
$(if $(WRONG),$(error `make $(GOALS)` has no variable $(WRONG); it has $(or $(TAKEN),none)))

.DEFAULT_GOAL := help
unexport PYTHONSAFEPATH  # programs import from the checkout
.PHONY: help doctor setup reproduce-table train status check table claims figure report compare wandb-sync data bench theory test test-all test-gpu lint architecture recipes

help: ## list the targets and their variables
	@echo "Residual to Dense. Two commands to start with: make reproduce-table, make test."
	@awk -F ' ## ' '/^[a-z-]+:.* ## / { sub(/:.*/, "", $$1); split($$2, part, " *[][]"); \
		printf "  %-18s%s\n", $$1, part[1]; if (part[2]) printf "%20s%s\n", "", part[2] }' $(SELF)
	@echo
	@sed -n 's/^#: /  /p' $(SELF)

#: TABLE=    a table or a figure, e.g. he2016_identity/table1 (docs/results.md)
#: PRESET=   paper (the full recipe), tenth (of its schedule), imagenette (ten
#:           classes), smoke (digits); auto is paper with a GPU, else smoke
#: SEEDS=    runs per row: paper (as many as in the paper), or a number
#: RUNS=     a file of run names, one per line, e.g. experiments/queue.txt
#: ROWS=     only these rows, by the last part of their names: resnet20,resnet56
#: JOBS=     runs at once: auto, or a number
#: MINUTES=  save and stop after this many; repeat the command to continue
#: PLAN=1    only print the plan
#: YES=1     start even if it takes over an hour

setup: $(READY) ## install everything into .venv (other targets do so too)

$(READY): pyproject.toml constraints.txt
	@command -v $(firstword $(PYTHON)) >/dev/null || { echo "There is no $(PYTHON): install Python 3.11, 3.12 or 3.13, or name one, as in make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v[:2] <= (3, 13) else "Python %d.%d is not supported: use 3.11, 3.12 or 3.13, as in make PYTHON=python3.12 ..." % v[:2])'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "$(PYTHON) has no venv module: install it (Debian: python3-venv)." >&2; exit 1; }
	@mkdir -p $(VENV); exec 9> $(BUSY); \
	! command -v flock >/dev/null || flock -n 9 || [ $$? -ne 1 ] || { echo "Another make is setting up $(VENV); try again when it has ended." >&2; exit 1; }; \
	echo "Setting up $(VENV): 6 GB, a few minutes, once."; \
	$(RUN) -m pip --version >/dev/null 2>&1 || { [ -x $(RUN) ] || rm -f $(VENV)/bin/python*; $(PYTHON) -m venv $(VENV); } && \
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

doctor: $(READY) ## check what runs depend on: GPU, data, disk, speed
	@$(RUN) -m training.doctor

reproduce-table: $(READY) ## train what a table lacks, then compile it [TABLE= PRESET= SEEDS= ROWS=a,b JOBS= MINUTES= PLAN=1 YES=1]
	@$(RUN) -m experiments.reproduce --table $(call WORD,$(TABLE)) --seeds $(call WORD,$(SEEDS)) --rows $(call WORD,$(ROWS)) $(HOW) $(STOPPED)

train: $(READY) ## train the runs listed in a file, one per line [RUNS=FILE PRESET= JOBS= MINUTES= PLAN=1 YES=1]
	@$(RUN) -m experiments.train --runs $(call WORD,$(RUNS)) $(HOW) $(STOPPED)

status: $(READY) ## show what is being trained now, and the time left
	@$(RUN) -m experiments.status

check: $(READY) ## check records and, with the data sets, their weights (10 minutes)
	@$(RUN) -m experiments.verdicts.check

table: $(READY) ## compile tables from the records, all by default [TABLE= PRESET=]
	@$(RUN) -m experiments.compile table $(KEPT) $(if $(filter file,$(origin TABLE)),,$(call WORD,$(TABLE)))

claims: $(READY) ## compare the papers' claims with our runs [PRESET=]
	@$(RUN) -m experiments.compile table $(KEPT) claims

figure: $(READY) ## draw figures from the records, all by default [FIGURE=he2015_residual/fig6 PRESET=]
	@$(RUN) -m experiments.compile figure $(KEPT) $(if $(FIGURE),$(call WORD,$(FIGURE)))

report: $(READY) ## write all results as HTML pages: results/report/
	@$(RUN) -m experiments.report

compare: $(READY) ## compare two sets of records side by side [A=results B=../other/results]
	@$(RUN) -m experiments.sharing.compare $(call WORD,$(A)) $(call WORD,$(B))

wandb-sync: $(READY) ## send every record to Weights & Biases [PRESET=]
	@$(RUN) -m experiments.sharing.wandb_sync $(KEPT)

data: $(READY) ## fetch and verify a data set [DATASET=cifar10|cifar100|svhn]
	@$(RUN) -m data.sets $(call WORD,$(DATASET))

bench: $(READY) ## time a training step here, against the usual loop [NETWORKS=resnet20,resnet110]
	@$(RUN) -m training.bench --networks $(call WORD,$(NETWORKS))
	@$(RUN) -m experiments.figures.bench

theory: $(READY) ## measure the papers' equations: results/theory/ (minutes)
	@$(RUN) -m training.theory
	@$(RUN) -m experiments.figures.theory

architecture: $(READY) ## count the size and length of every row: results/rows.csv (minutes)
	@$(RUN) -m training.counts.rows
	@$(RUN) -m experiments.papers.sums rows.csv tenth/rows.csv architecture.csv

recipes: $(READY) ## write the recipe sheet of each paper: results/recipes/
	@$(RUN) -m experiments.papers.recipes

test: $(READY) ## run the tests (minutes), on CIFAR-10 too if in DATA_DIR
	@$(RUN) -m pytest -n auto --dist worksteal -m 'not slow'

test-all: $(READY) ## run all tests, including the slow ones
	@$(RUN) -m pytest -n auto --dist worksteal --hypothesis-profile all

test-gpu: $(READY) ## run the tests for a CUDA GPU: engines and kernels
	@$(RUN) -m pytest tests/training/engines

lint: $(READY) ## run ruff and mypy
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy
