# The few commands that people type. `make` lists them.
# Each installs what it needs first, where something is missing (scripts/setup).

SHELL := /bin/sh
export PATH := $(HOME)/.cargo/bin:$(PATH)

# How long `make fuzz` runs each target.
SECONDS ?= 60
# What `make bench` measures: quick, all, or names (`make bench CASE="fan1-cpu latency"`), how often, and what
# else: CMD_DIR=DIRECTORY, another relay with mcr's command line.
CASE ?= all
REPEAT ?= 3
CMD_DIR ?=
# How long `make soak` takes, and datagrams a second (default: 70 % of the maximum).
MINUTES ?= 10
RATE ?=
# 1: `make gate` writes down what it counted.
BLESS ?=

.DEFAULT_GOAL := help
.PHONY: help demo compare test verify bench soak gate fuzz lint fmt doc deb setup fresh clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## A real video stream crosses the relay, about 20 seconds (root)
	@scripts/setup demo
	@scripts/demo

compare: ## What mcr, socat, smcroute and nftables do with the same traffic, about 4 minutes (root)
	@scripts/setup compare
	@scripts/compare

test: ## Everything that proves correctness; the network scenarios need root
	@scripts/setup test
	cargo test --locked

verify: ## Everything at full length: ten million frames, matrix of offloads, churn (root)
	@scripts/setup test
	MCR_VERIFY=1 MCR_DECODE_FRAMES=10000000 cargo test --locked --release --lib --test netns

bench: ## Measures mcr beside smcroute and socat: CASE=quick 2 minutes, CASE=all about 30; quiet machine (root)
	@scripts/setup bench
	cargo bench --locked --bench relay -- $(CASE) --repeat $(REPEAT) $(foreach dir,$(CMD_DIR),--cmd-dir $(dir))

soak: ## A long run at 70 % of the maximum with a verdict, MINUTES=10 (root)
	@scripts/setup bench
	cargo bench --locked --bench relay -- --soak $(MINUTES) $(if $(RATE),--rate $(RATE))

gate: ## Instructions for each packet, compared with benches/instructions.txt (valgrind)
	@scripts/setup gate
	BLESS=$(BLESS) cargo bench --locked --bench instructions

fuzz: ## Random input for every decoder, SECONDS=60 each (nightly compiler; installs cargo-fuzz)
	@scripts/setup build
	@command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	@for target in $$(cargo +nightly fuzz list); do \
		cargo +nightly fuzz run $$target -- -max_total_time=$(SECONDS) -print_final_stats=1 || exit 1; \
	done

lint: ## Formatting, clippy and documentation, warnings are errors
	@scripts/setup build
	@scripts/lint

fmt: ## Format the code
	cargo fmt

doc: ## The crate's documentation, in target/doc
	cargo doc --locked --no-deps --document-private-items

deb: ## A Debian package in target/debian (installs cargo-deb); scripts/deb-check proves it
	@scripts/setup build
	@command -v cargo-deb >/dev/null || cargo install --locked cargo-deb
	cargo build --locked --release --bins
	rm -rf target/completions && target/release/mcrd completions target/completions
	cargo deb --locked --no-build

setup: ## Only install what the others need
	@scripts/setup build test demo

fresh: ## Prove that demo and test work on a fresh Debian 12 (root, debootstrap)
	@scripts/fresh-debian

clean: ## Remove build results
	cargo clean
