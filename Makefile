# Every target first sees to .venv (tools/setup), so that one command works on a fresh machine.
# ARGS goes to the program behind a target: make bench ARGS="--pairs sqlite", make test ARGS="tests/packet -x".

PYTHON := .venv/bin/python
READY := .venv/.ready
NATIVE := $(wildcard setup.py native/*.c native/*.h)
ARGS :=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test check-native bench faults docs clean

help:  ## show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY)  ## make .venv with PacketFS and all tools in it

$(READY): pyproject.toml tools/setup $(NATIVE)
	@tools/setup

demo: $(READY)  ## copy a real tree to a stand-in for another machine, change it, copy again; show what moved
	@$(PYTHON) -m bench.demo

test: $(READY)  ## lint, types, layers, size budget, documents, tests
	@$(PYTHON) -m tools.checks
	@$(PYTHON) -m pytest --numprocesses auto --dist loadgroup --timeout 300 $(ARGS)

check-native: $(READY)  ## test the C core under the address and undefined-behaviour sanitizers
	@tools/check-native $(ARGS)

bench: $(READY)  ## measure PacketFS beside rsync, scp and plain TCP (about 40 minutes and 20 GB; --scale 0.1 is quick)
	@tools/setup peers
	@$(PYTHON) -m bench.measure $(ARGS)

faults: $(READY)  ## 200 kills at random moments, broken links, full disks, other versions
	@$(PYTHON) -m pytest tests/faults --kills 200 --flips 400 --timeout 3600 $(ARGS)

docs: $(READY)  ## write the generated parts of the documents anew
	@$(PYTHON) -m tools.documents
	@$(PYTHON) -m tools.headers
	@$(PYTHON) -m bench.report --write

clean:  ## remove what was built, measured and installed here
	@rm -rf .venv build dist bench/out .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
	  src/*.egg-info src/packetfs/*.so
	@find src tests bench tools -name __pycache__ -type d -prune -exec rm -rf {} +
