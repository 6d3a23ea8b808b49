# The commands of people who build, try and test this project. `make` lists them.

SECONDS ?= 30
CARGO := cargo
LOCKED := --locked
PROGRAMS := cloudsql-ca cloudsql-proxy-server cloudsql-proxy
FUZZ_TARGETS := $(basename $(notdir $(wildcard proto/fuzz/fuzz_targets/*.rs)))

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: quickstart
quickstart: ## CA, agent, client and a real database on loopback, and a query through the tunnel (ONCE=1: query and exit)
	@e2e/setup/quickstart
	$(CARGO) build $(LOCKED) -p ca-service -p proxy-server -p proxy-client -p e2e --bins
	@target/debug/quickstart $(if $(ONCE),--once)

.PHONY: fetch
fetch: # every crate of the lock file, those of other systems too: licences are checked without a network
	$(CARGO) fetch $(LOCKED)

.PHONY: test
test: setup fetch ## set up databases and client drivers, then run every test
	$(CARGO) build $(LOCKED) --workspace --all-targets
	$(CARGO) test $(LOCKED) --workspace --exclude e2e
	e2e/summary clear
	$(CARGO) test $(LOCKED) -p e2e
	e2e/summary

.PHONY: unit
unit: ## the tests that need no database
	$(CARGO) test $(LOCKED) --workspace --exclude e2e

.PHONY: e2e
e2e: setup fetch ## the tests against real databases and real clients
	$(CARGO) build $(LOCKED) --workspace --bins
	e2e/summary clear
	$(CARGO) test $(LOCKED) -p e2e
	e2e/summary

.PHONY: matrix
matrix: setup ## every client against every database, account and leg; writes docs/login-matrix.md
	$(CARGO) build $(LOCKED) -p ca-service -p proxy-server -p proxy-client -p e2e --bins
	target/debug/matrix

.PHONY: setup
setup: ## install the databases and client drivers that the tests need, into .test
	e2e/setup/all

.PHONY: lint
lint: fetch ## formatting, clippy, documentation, scripts, dependencies
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path e2e/clients/rust/Cargo.toml --check
	$(CARGO) clippy $(LOCKED) --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" $(CARGO) doc $(LOCKED) --workspace --no-deps --document-private-items --quiet
	for script in .ci/run deploy/split-debug e2e/setup/* e2e/summary; do bash -n $$script || exit 1; done
	if command -v cargo-deny >/dev/null; then $(CARGO) deny --offline check bans licenses sources; fi

.PHONY: bench
bench: ## side by side with its peers, with release binaries; writes docs/performance.md (QUICK=1: 3 minutes; SOAK=1: 100,000 connections too)
	e2e/setup/bench
	$(CARGO) build $(LOCKED) --release -p ca-service -p proxy-server -p proxy-client -p e2e --bins
	target/release/bench $(if $(QUICK),--quick) $(if $(SOAK),--soak)

.PHONY: bench-micro
bench-micro: ## the copy loop, the MySQL login and certificate issuance by themselves; the next bench shows the figures, too
	$(CARGO) bench $(LOCKED) -p proto -p transport -p ca-service --bench '*'

.PHONY: fuzz
fuzz: ## every fuzz target for SECONDS=30 each (needs a nightly toolchain and cargo-fuzz)
	$(CARGO) test $(LOCKED) -p proto --test fuzz -- --ignored
	cd proto && for target in $(FUZZ_TARGETS); do \
		cargo +nightly fuzz run $$target -- -max_total_time=$(SECONDS) -rss_limit_mb=1024 || exit 1; done
	cd transport && cargo +nightly fuzz run records -- -max_total_time=$(SECONDS) -rss_limit_mb=1024

.PHONY: release
release: ## optimised, stripped binaries in target/release, their debug information beside them
	$(CARGO) build $(LOCKED) --release -p ca-service -p proxy-server -p proxy-client --bins
	deploy/split-debug "$${CARGO_TARGET_DIR:-target}"/release $(PROGRAMS)
