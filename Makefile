# Every target sets up what it needs; `make test` is what CI runs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEV := $(VENV)/.dev

.PHONY: preflight doctor test check lab engines soak bench bundle bundle-test old-kernel clean

preflight: $(READY)
	@$(BIN)/hostkit preflight; echo "hostkit exit code: $$?"

doctor: $(READY)
	@$(BIN)/hostkit doctor; echo "hostkit exit code: $$?"

test: check
	$(BIN)/python -m pytest -q -n auto --dist loadgroup

check: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright

lab: $(DEV)  # KERNEL=6.1, 6.12 or 7.2
	HOSTKIT_LAB_KERNEL=$(or $(KERNEL),6.1) $(BIN)/python -m pytest -q -n 2 --dist loadgroup tests/lab

engines: $(DEV)
	HOSTKIT_ENGINES=1 $(BIN)/python -m pytest -q tests/live/test_engines.py tests/live/test_upgrades.py tests/live/test_image_peers.py

SEED ?= $(shell date +%s)
soak: $(DEV)
	@echo "seed $(SEED): the same again with make soak SEED=$(SEED)"
	HOSTKIT_SOAK=1 $(BIN)/python -m pytest -q -n auto --dist loadgroup -p no:cacheprovider \
		--hypothesis-seed=$(SEED) tests/unit tests/e2e/test_doctor.py tests/conformance tests/live/test_drivers.py
	for kernel in 6.1 6.12 7.2; do HOSTKIT_SOAK=1 $(MAKE) lab KERNEL=$$kernel || exit; done

bench: $(DEV)
	$(BIN)/python -m benchmarks

bundle: $(DEV)  # ARCH=aarch64 for another machine's
	$(BIN)/python -m contrib.bundle $(if $(ARCH),--architecture $(ARCH))

bundle-test: $(DEV)
	HOSTKIT_BUNDLE=1 $(BIN)/python -m pytest -q tests/live/test_bundle.py

# Every test but the lab's, without the system calls that are newer than Linux 3.10. Engines and
# other programs need them.
old-kernel: $(DEV)
	$(BIN)/python -m tests.rig.oldkernel $(BIN)/python -m pytest -q -n auto --dist loadgroup \
		-p no:cacheprovider tests/unit tests/e2e tests/conformance

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -e .
	@$(BIN)/python -m compileall -q hostkit drivers checks  # an editable install leaves it to the first run
	@touch $@

$(DEV): $(READY)
	$(BIN)/pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .cache
