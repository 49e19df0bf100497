# Everything there is to do with this repository. `make` alone says what.
#
# CARGO_TARGET_DIR moves what cargo builds; LETTA_BRIDGE_PEERS moves the real Synapse and clients that tests talk to.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test lint bench peers

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Talk to scripted agents in Matrix, on this machine, after this one command
	@scripts/demo.sh

test: peers ## Run all tests, those with a real Synapse and real clients included
	cargo test --workspace --locked

lint: ## What a change must pass besides the tests
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --document-private-items --locked

bench: ## Measure
	cargo bench --workspace --locked

peers: ## Install the real Synapse and matrix-nio that the tests talk to (once)
	@scripts/peers.sh
