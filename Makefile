# Everything there is to do with this repository. `make` alone says what.
#
# CARGO_TARGET_DIR moves what cargo builds; LETTA_BRIDGE_PEERS moves the real Synapse and clients that tests talk to.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo demo-synapse test lint deps bench beside scale streams proof fuzz compatibility peers

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# matrix-sdk-crypto declares Rust 1.96; it builds with 1.95 if cargo is told so.
BUILD := --locked --ignore-rust-version

DEMO_DIR ?= .local/demo

demo: ## Talk to scripted agents in Matrix, on this machine, after this one command
	cargo build $(BUILD) --bin matrix-appservice-letta
	@exec $${CARGO_TARGET_DIR:-target}/debug/matrix-appservice-letta demo --data $(DEMO_DIR)

demo-synapse: ## The same on a real Synapse
	@scripts/demo.sh

test: peers ## Run all tests, those with real homeservers and real clients included
	cargo test --workspace $(BUILD) -- --skip v1::
	@# The same list once more, on the homeserver that the bridge brings along.
	LETTA_TEST_HOMESERVER=embedded cargo test --workspace $(BUILD) --test it -- --skip clients:: --skip proof:: --skip v1::

lint: ## What a change must pass besides the tests
	cargo fmt --all --check
	cargo clippy --workspace --all-targets $(BUILD) -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --document-private-items $(BUILD)

deps: ## Check dependencies: licenses, sources, several versions of one (deny.toml), and those that nothing uses
	@scripts/deps.sh

bench: ## Measure what the bridge itself adds to a message (a minute)
	cargo bench $(BUILD) --bench overhead

beside: peers ## Measure the embedded homeserver beside Synapse (five minutes)
	cargo bench $(BUILD) --bench homeserver

scale: peers ## Measure 1,000 agents on a real Synapse, and then a minute of rest (ten minutes)
	cargo bench $(BUILD) --bench scale

proof: peers ## Prove it at full size: 10,000 requests, 200 kills, 10,000 round trips, 26 floods, 20 kills at each point, fuzzing (an hour)
	LETTA_PROOF_REQUESTS=10000 LETTA_PROOF_KILLS=200 LETTA_PROOF_TRIPS=10000 LETTA_PROOF_ROOMS=500 \
		LETTA_PROOF_PROBES=100 \
		cargo test $(BUILD) --test it -- proof:: --nocapture --test-threads=1
	KILLS_PER_POINT=20 cargo test $(BUILD) --test it -- restarts:: approval_kills:: app_server:: --nocapture
	KILLS_PER_POINT=20 LETTA_TEST_HOMESERVER=embedded cargo test $(BUILD) --test it -- \
		restarts:: approval_kills:: app_server:: --nocapture
	KILLS_PER_POINT=20 cargo test $(BUILD) -p letta-client --test app_server
	LETTA_TEST_BACKEND=v1 LETTA_TEST_HOMESERVER=embedded cargo test $(BUILD) --test it -- v1:: --nocapture --test-threads=1
	@scripts/fuzz.sh

fuzz: ## Fuzz what strangers write, FUZZ_SECONDS (60) for each of eight targets
	@scripts/fuzz.sh

streams: ## Measure 100 agents that speak 50 tokens a second each, over both protocols (three minutes)
	cargo bench $(BUILD) --bench streams

compatibility: peers ## Run every feature with every Letta on every homeserver; makes docs/compatibility.md (half an hour)
	@scripts/compatibility.sh

peers: ## Install the real Synapse and matrix-nio that the tests talk to (once)
	@scripts/peers.sh
