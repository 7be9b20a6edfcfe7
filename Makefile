# Everything a developer or a newcomer runs. `make` alone says what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

CARGO ?= cargo
PYTHON ?= python3
HOST := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
BELLJAR := target/release/belljar
STATIC := target/static/$(HOST)/release
# The programs of images; everything but them.
IN_IMAGES := digits belljar-probe
NOT_STATIC := $(addprefix --exclude ,$(IN_IMAGES))
VENV := .venv
# The time that `make fuzz` spends on each target, in seconds.
FUZZ_SECONDS ?= 30

.PHONY: help
help: ## Say what there is
	@echo "Belljar. Targets:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

.PHONY: needs-build
needs-build:
	@tests/needs.sh build

.PHONY: needs-test
needs-test:
	@tests/needs.sh build test

.PHONY: build
build: needs-build static ## Build Belljar, its warden, the example image's program and the probe
	$(CARGO) build --release --locked -p belljar

# Programs that go into images have no library to lean on. They get a target folder of their own,
# so that their flags don't make cargo build everything else again.
.PHONY: static
static: needs-build
	RUSTFLAGS='-C target-feature=+crt-static' $(CARGO) build --release --locked \
	    --target $(HOST) --target-dir target/static $(addprefix -p ,$(IN_IMAGES))

.PHONY: quickstart
quickstart: build ## Build, then train the example in a sealed container and show the proof
	$(BELLJAR) quickstart

# The tests run the release profile (which checks for overflow): what is tested is what is used, and
# the libraries are compiled once. Measured on two cores, they are nine tenths of all compiling; a
# second set of them in the dev profile cost more than optimising the tests does. For the same
# reason everything is built in one go, as cargo tells apart the libraries of different selections
# of crates, and the example and the probe are left out: they are tested as `static` builds them.
.PHONY: test-build
test-build: needs-build static
	$(CARGO) build --release --locked --workspace $(NOT_STATIC) --bins --tests

.PHONY: test
test: needs-test test-build venv vectors images ## Run every test, with all that it needs
	tests/run.sh

# The tests send 20,000 real packets with one seed; this sends more, with another one each time.
AGREE_PACKETS ?= 100000
AGREE_CASES ?= 1000000

.PHONY: agree
agree: needs-test ## Hold explained, compiled and real networks against each other for AGREE_PACKETS (100000) packets
	BELLJAR_AGREE_PACKETS=$(AGREE_PACKETS) BELLJAR_AGREE_CASES=$(AGREE_CASES) \
	    BELLJAR_AGREE_SEED=$${BELLJAR_AGREE_SEED:-$$(date +%s)} \
	    $(CARGO) test --release --locked -p belljar-linux --test network -- --nocapture

.PHONY: venv
venv: $(VENV)/.ready $(VENV)-sdk2/.ready $(VENV)-sdk3/.ready ## Install the Python clients that tests use into .venv*

$(VENV)/.ready: tests/clients/requirements.txt | needs-test
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r tests/clients/requirements.txt
	@touch $@

# The two SageMaker SDKs exclude each other, and both exclude what the other clients want. The import
# compiles what is used, and fails if something is missing.
$(VENV)-sdk2/.ready: IMPORT := from sagemaker.multidatamodel import MultiDataModel
$(VENV)-sdk3/.ready: IMPORT := from sagemaker.serve import ModelBuilder
$(VENV)-%/.ready: tests/clients/requirements-%.txt | needs-test
	$(PYTHON) -m venv $(VENV)-$*
	$(VENV)-$*/bin/pip install --quiet --disable-pip-version-check --no-deps --no-compile -r $<
	SAGEMAKER_SUPPRESS_V2_WARNING=1 AWS_DEFAULT_REGION=us-east-1 $(VENV)-$*/bin/python -c '$(IMPORT)' >/dev/null
	@touch $@

.PHONY: vectors
vectors: venv ## Fetch botocore's protocol vectors, which tests run backwards (cached)
	PYTHON=$(VENV)/bin/python tests/vectors.sh

.PHONY: images
images: needs-test ## Assemble the Python images that tests run (no daemon, no root; cached)
	tests/images/python.sh

.PHONY: lint
lint: needs-build ## Check format, lints, the edges between crates, licences and advisories
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets --locked -- -D warnings
	$(CARGO) run --release --quiet --locked -p xtask -- edges
	@if ! $(CARGO) deny --version >/dev/null 2>&1; then \
	    echo "NOT CHECKED: licences and advisories; cargo install --locked cargo-deny"; \
	elif ! $(CARGO) deny --log-level error check licenses bans sources; then \
	    exit 1; \
	elif ! $(CARGO) deny --log-level off fetch db >/dev/null 2>&1; then \
	    echo "NOT CHECKED: advisories; their database cannot be fetched from here"; \
	else \
	    $(CARGO) deny --log-level error check --disable-fetch advisories; \
	fi

.PHONY: bench
bench: build venv ## Measure against runc, umoci, cp, moto and s5cmd on this machine (docs/benchmarks.md)
	$(CARGO) run --release --locked --quiet -p xtask -- bench

.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZ_SECONDS (30); needs a nightly toolchain and cargo-fuzz
	@$(CARGO) fuzz --version >/dev/null 2>&1 || { \
	    echo "cargo-fuzz is missing: cargo install --locked cargo-fuzz" >&2; exit 1; }
	for target in $$($(CARGO) +nightly fuzz list); do \
	    $(CARGO) +nightly fuzz run "$$target" -- -max_total_time=$(FUZZ_SECONDS); done

.PHONY: clean
clean: ## Remove all that was built, downloaded and cached here
	rm -rf target $(VENV) $(VENV)-sdk2 $(VENV)-sdk3 fuzz/target
