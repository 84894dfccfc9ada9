# `make help` lists the targets. Everything is set up on demand: `make serve` and `make test` work on a
# machine with Python 3.11, pip, venv, make and g++ and nothing of ours installed.

PYTHON      ?= python3
VENV        := .venv
BIN         := $(VENV)/bin
HOME_DIR    := $(or $(LONGTAIL_HOME),var)
ENCODER     ?= english
MODEL       ?= all-MiniLM-L6-v2
OUT         ?= $(HOME_DIR)/models/$(notdir $(MODEL))
ARTEFACT    := $(HOME_DIR)/models/all-MiniLM-L6-v2/manifest.json
MULTILINGUAL := $(HOME_DIR)/models/multilingual-e5-small/manifest.json
REFERENCE   := $(HOME_DIR)/models/all-MiniLM-L6-v2-fp32/manifest.json
PROMETHEUS  := $(HOME_DIR)/cache/prometheus/usr/bin/prometheus
REPORT      ?= $(HOME_DIR)/evaluation
TRAINED     ?= $(HOME_DIR)/training
RATE        ?= 50
SECONDS     ?= 30

INSTALLED   := $(VENV)/.installed
PROTOS      := $(wildcard protos/longtail/v1/*.proto)
STUBS       := $(PROTOS:.proto=_pb2.py)
PYTHON_CODE := runtime worker server export client demo deploy evaluation training loadtest bench examples tests

.PHONY: help serve test test-slow lint proto export evaluate train load-test wheels test-wheels test-images bench-worker bench-index bench-ranking bench-request bench-attacks test-faults test-engines test-observability clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

ifeq ($(ENCODER),english)
SERVED      := $(ARTEFACT)
DEMO        := $(BIN)/python -m demo films
else ifeq ($(ENCODER),multilingual)
SERVED      := $(MULTILINGUAL)
# A catalogue has the vectors of one encoder, so this one is kept apart from the films.
DEMO        := LONGTAIL_HOME=$(HOME_DIR)/multilingual LONGTAIL_MODEL=$(abspath $(dir $(MULTILINGUAL))) \
	$(BIN)/python -m demo dishes
else
$(error ENCODER=$(ENCODER): there are english and multilingual)
endif

serve: $(INSTALLED) $(STUBS) $(SERVED) ## Start a worker and a server with a demo catalogue, by ENCODER.
	@$(DEMO)

test: $(INSTALLED) $(STUBS) ## Lint, types, contract checks and the tests that have no target of their own.
	@# The encoder is exported while types are checked: each has a core.
	$(MAKE) --no-print-directory -j 2 lint $(ARTEFACT)
	@# Three at a time on two cores, since most of them wait; a file's tests stay together, and share its processes.
	$(BIN)/pytest -n 3 --dist loadfile -m "not slow"

test-slow: $(INSTALLED) $(STUBS) $(ARTEFACT) ## What `make test` runs one of a kind of, of every kind.
	$(BIN)/pytest -n 2 --dist loadfile -m slow

lint: $(INSTALLED) $(STUBS) ## Style, types, contracts and manifests, without the tests.
	$(BIN)/ruff format --check $(PYTHON_CODE)
	$(BIN)/ruff check $(PYTHON_CODE)
	$(BIN)/mypy $(PYTHON_CODE)
	$(BIN)/buf lint
	$(BIN)/buf breaking --against protos/released.binpb
	$(BIN)/hadolint deploy/containers/server.Containerfile deploy/containers/worker.Containerfile
	$(BIN)/kubernetes-validate --quiet --strict deploy/kubernetes/server.yaml deploy/kubernetes/worker.yaml deploy/kubernetes/scale-out/server.yaml deploy/kubernetes/scale-out/postgresql.yaml deploy/kubernetes/scale-out/milvus.yaml

proto: $(STUBS) ## Generate the stubs beside the contracts.

export: $(INSTALLED) $(STUBS) ## Export MODEL (a Hugging Face id or a folder) to OUT.
	$(BIN)/python -m longtail.export $(MODEL) $(OUT)

evaluate: $(INSTALLED) $(STUBS) $(ARTEFACT) ## Compare re-rankers on DATA (items.csv, interactions.csv), into REPORT.
	@# One thread for a product of matrices: the methods themselves run side by side.
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m evaluation $(DATA) --out $(REPORT) $(ARGS)

train: $(INSTALLED) $(STUBS) $(ARTEFACT) ## Learn a head from DATA (items.csv, interactions.csv), into TRAINED.
	@# One thread for a product of matrices, as the server has it: a seed gives the same head again.
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m training head $(DATA) --out $(TRAINED) $(ARGS)

load-test: $(INSTALLED) $(STUBS) ## Load the running server at RATE requests per second for SECONDS.
	$(BIN)/python -m loadtest run --rate $(RATE) --seconds $(SECONDS) $(ARGS)

wheels: $(INSTALLED) $(STUBS) $(ARTEFACT) ## Build a wheel of each part, and of the default encoder, into dist.
	$(BIN)/python -m deploy.wheels dist $(patsubst %/,%,$(dir $(ARTEFACT)))

test-wheels: wheels ## Install the wheels in empty environments, and answer from them.
	$(BIN)/pytest -v tests/wheels

test-images: wheels ## Build both images on BASE with buildah, and answer from them.
	BASE=$(BASE) $(BIN)/pytest -v tests/images

bench-worker: $(INSTALLED) $(STUBS) $(ARTEFACT) $(REFERENCE) ## Measure the worker beside its baselines.
	$(BIN)/python -m bench worker \
		--artefact $(dir $(ARTEFACT)) --reference $(dir $(REFERENCE)) $(ARGS)

bench-index: $(INSTALLED) $(STUBS) $(ARTEFACT) ## Measure the index and the store beside their baselines.
	@# One thread for a product of matrices, as the server has it.
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m bench index --artefact $(dir $(ARTEFACT)) $(ARGS)

bench-ranking: $(INSTALLED) $(STUBS) $(ARTEFACT) ## Measure the ranking of one request, plain and with all that can be asked.
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m bench ranking --artefact $(dir $(ARTEFACT)) $(ARGS)

bench-request: $(INSTALLED) $(STUBS) $(ARTEFACT) ## Measure a request beside its parts.
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m bench request --artefact $(dir $(ARTEFACT)) $(ARGS)

bench-attacks: $(INSTALLED) $(STUBS) $(ARTEFACT) ## Attack a server and a worker, a minute each, beside a good caller.
	$(BIN)/python -m bench attacks --artefact $(dir $(ARTEFACT)) $(ARGS)

test-faults: $(INSTALLED) $(STUBS) $(ARTEFACT) $(REFERENCE) ## Kill, fill and damage the server at full length, an hour.
	LONGTAIL_FAULTS=full $(BIN)/pytest -v tests/faults

test-engines: $(INSTALLED) $(STUBS) $(ARTEFACT) $(REFERENCE) ## Hold every store and engine of the index, Milvus too, to the same tests.
	@# The newest of its wheels that there is; its server has no dependencies in Python.
	$(BIN)/python -c 'import milvus' 2>/dev/null || $(BIN)/pip install --quiet --no-deps milvus==2.3.5
	LONGTAIL_FAULTS=full $(BIN)/pytest -v tests/engines tests/conformance --matrix $(HOME_DIR)/conformance.md

test-observability: $(INSTALLED) $(STUBS) $(ARTEFACT) $(PROMETHEUS) ## Scrape, alert and query with the real Prometheus.
	$(BIN)/pytest -v tests/unit/test_metrics.py tests/integration/test_traces.py tests/integration/test_prometheus.py

clean: ## Remove the environment, the stubs and the caches; the state under var stays.
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
	rm -f protos/longtail/v1/*_pb2*.py protos/longtail/v1/*_pb2.pyi

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	@# Compiling every library takes a minute or two; what is imported is compiled then.
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev]'
	@# The one declares a commercial solver and 600 MB of another, which the methods that we run do not
	@# use, the other, which has pictures, Django.
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --no-deps fairdiverse django-emoji
	@touch $@

$(STUBS) &: $(PROTOS) $(INSTALLED)
	$(BIN)/python -m grpc_tools.protoc -Iprotos \
		--python_out=protos --pyi_out=protos --grpc_python_out=protos $(PROTOS)

$(ARTEFACT): | $(INSTALLED) $(STUBS)
	$(MAKE) export

$(MULTILINGUAL): | $(INSTALLED) $(STUBS)
	$(MAKE) export MODEL=multilingual-e5-small

# What parity and speed are held against: the same checkpoint as it was trained.
$(REFERENCE): | $(ARTEFACT)
	$(BIN)/python -m longtail.export all-MiniLM-L6-v2 $(dir $@) --precision fp32

# Debian's, unpacked and not installed: nothing starts, and the system stays as it is.
$(PROMETHEUS):
	mkdir -p $(HOME_DIR)/cache/prometheus
	cd $(HOME_DIR)/cache/prometheus && apt-get download prometheus && dpkg -x prometheus_*.deb . && rm prometheus_*.deb
	@touch $@
