# genre_spark on two commands: `make demo` and `make test`. `make help` lists the rest.
ROOT := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
VENV ?= $(ROOT)/.venv
VENV_MULTILABEL ?= $(ROOT)/.venv-multilabel
BIN := $(VENV)/bin
WORK ?= $(ROOT)/work/demo
# what every method does is tested with the newest releases alone; the rest of tests/multilabel with the pipeline's own
NEWEST_ALONE := $(addprefix tests/multilabel/test_,contract.py stages_of_pipelines.py page.py)
MULTILABEL_TESTS ?= $(NEWEST_ALONE) $(addprefix tests/multilabel/test_,stored.py params.py)
# whose tests hold in a session of Spark Connect too
CONNECT_TESTS ?= $(addprefix tests/,adapters collect evaluation exploration explanations features fusion multilabel \
  posters sampling spark text vision)
# processes that run tests; a file's tests stay together
PARALLEL ?= --numprocesses 2 --dist loadfile --no-loadscope-reorder
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
comma := ,
.PHONY: help install install-multilabel constraints demo test test-all faults test-multilabel test-versions \
  test-connect notebooks docs lint lint-wheel unit format ui clean benchmarks check-java

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-18s %s\n", $$1, $$2}' $(ROOT)/Makefile

demo: install check-java ## run the whole pipeline on generated data and show what came out
	@cd $(ROOT) && $(BIN)/genre-spark run --config conf/demo.yaml paths.work=$(WORK) \
	  paths.genres_csv=$(WORK)/data/genres.csv paths.posters=$(WORK)/data/posters paths.metadata=$(WORK)/data
	@echo "or, from this folder: make ui"

ui: install ## open the demo's runs in the MLflow UI at http://127.0.0.1:5000
	@cd $(ROOT) && $(BIN)/genre-spark ui --config conf/demo.yaml paths.work=$(WORK)

test: install check-java lint test-multilabel ## install, then run every check and test
	@cd $(ROOT) && $(BIN)/python -m pytest $(PARALLEL) -m "not slow and not faults" $(addprefix --ignore=,$(NEWEST_ALONE))

test-all: install check-java lint test-multilabel ## the same, with the tests that take minutes: kills, clusters, search, notebooks
	@cd $(ROOT) && $(BIN)/python -m pytest $(PARALLEL) -m "not faults"

faults: install check-java ## half an hour of random faults: kills, signals, damaged state and inputs; FAULTS_SEED repeats one
	@cd $(ROOT) && $(BIN)/python -m pytest -s -m faults tests/faults

test-multilabel: install-multilabel check-java ## the estimators alone, with the newest pyspark, numpy, pandas and scikit-learn
	@cd $(ROOT) && $(VENV_MULTILABEL)/bin/python -m pytest $(PARALLEL) -m "not slow and not cluster" $(MULTILABEL_TESTS)

test-versions: install check-java ## releases of Spark from 3.5 to the newest, each in an environment of its own; VERSIONS="spark-3.5" tries one
	@$(BIN)/python $(ROOT)/tools/try_versions.py $(VERSIONS)

test-connect: install check-java ## tests of stages and estimators in a session of Spark Connect
	@cd $(ROOT) && GENRE_SPARK_TEST_SESSION=connect $(BIN)/python -m pytest $(PARALLEL) -m "not slow and not cluster" $(CONNECT_TESTS)

notebooks: install check-java ## run the notebooks and keep their outputs; NOTEBOOKS=posters runs one
	@cd $(ROOT) && $(BIN)/python tools/run_notebooks.py $(NOTEBOOKS)

docs: install ## build the pages as a site, into work/site; links and references are checked
	@cd $(ROOT) && NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

lint: install lint-wheel docs ## ruff, mypy, import-linter, the pages' links, and a check of the built wheel
	@cd $(ROOT) && $(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports --no-logo

lint-wheel: install ## build the wheel without a network and check it alone
	@folder=$$(mktemp -d); trap 'rm -r "$$folder"' EXIT; cd $(ROOT); \
	$(BIN)/python -m build --no-isolation --outdir "$$folder" . > "$$folder/log" 2>&1 || { cat "$$folder/log"; exit 1; }; \
	$(BIN)/twine check --strict "$$folder"/genre_spark-*; $(BIN)/check-wheel-contents "$$folder"/*.whl

unit: install ## the tests that start no Spark cluster and run no whole job
	@cd $(ROOT) && $(BIN)/python -m pytest -m "not e2e and not cluster and not slow and not faults"

format: install ## let ruff format and mend what it can
	@cd $(ROOT) && $(BIN)/ruff check --fix . && $(BIN)/ruff format .

benchmarks: install check-java ## install what the benchmarks compare with; benchmarks/README.md has the commands
	@$(BIN)/python $(ROOT)/tools/install.py --constraints $(ROOT)/constraints.txt dev,benchmarks
	@sed -n '1,40p' $(ROOT)/benchmarks/README.md

clean: ## remove the demo's tables, models and runs (not the virtual environment)
	@rm -rf $(WORK)

# Makes a virtual environment: $(call environment,FOLDER,CONSTRAINTS,EXTRAS,what it takes). The stamp
# holds a checksum, so that a fresh checkout's new file times do not ask for the network again.
define environment
sum=$$(cat $(ROOT)/pyproject.toml $(2) | cksum); \
if [ "$$(cat $(1)/.installed 2>/dev/null)" = "$$sum" ]; then exit 0; fi; \
python=""; \
for candidate in $(or $(PYTHON),python3.11 python3.12 python3.10 python3 python); do \
  if "$$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1; \
  then python="$$candidate"; break; fi; done; \
if [ -z "$$python" ]; then \
  echo "genre_spark needs Python 3.10, 3.11 or 3.12 and found $$($(or $(PYTHON),python3) --version 2>/dev/null || echo none): install one (for example: apt install python3 python3-venv) or name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 2; fi; \
echo "installing with $$($$python --version) into $(1) ($(4); only once)"; \
[ -x $(1)/bin/python ] || "$$python" -m venv $(1); \
$(1)/bin/python $(ROOT)/tools/install.py --constraints $(2) $(3); \
echo "$$sum" > $(1)/.installed
endef

install: ## make the virtual environment and install the version set
	@$(call environment,$(VENV),$(ROOT)/constraints.txt,dev,6 GB with CUDA$(comma) some minutes)
	@$(BIN)/genre-spark archive-classes --once || echo "sessions start without kept classes" >&2

install-multilabel: ## the same for the estimators alone, with today's newest releases
	@$(call environment,$(VENV_MULTILABEL),$(ROOT)/constraints-multilabel.txt,spark$(comma)test,1 GB)

constraints: install ## renew both files of constraints from pyproject.toml; UPGRADE=1 takes the newest releases
	@$(BIN)/python $(ROOT)/tools/renew_constraints.py $(if $(UPGRADE),--upgrade)

check-java:
	@java="$${JAVA_HOME:+$$JAVA_HOME/bin/}java"; \
	version=$$("$$java" -version 2>&1 | awk -F'"' '/version/{print $$2}' || true); \
	major=$${version%%.*}; \
	if ! [ "$${major:-0}" -ge 17 ] 2>/dev/null; then \
	  echo "genre_spark needs Java 17 or newer and found $${version:-none}: install a JDK (for example: apt install openjdk-17-jdk-headless) or set JAVA_HOME to one" >&2; exit 2; fi
