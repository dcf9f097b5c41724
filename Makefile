# The commands of the README. Each works in a fresh clone on a machine with the Rust toolchain: what else the build needs is installed first, or the command that does is printed.

.PHONY: dependencies test-dependencies run test test-kast chaos simulate bench screenshots server lint fmt

# A C++ compiler and libclang.
dependencies:
	./scripts/dependencies build

# Besides, what the tests start: Redis, a browser, Python and npm.
test-dependencies:
	./scripts/dependencies build test

# Serves the dashboard on http://127.0.0.1:5000.
run: dependencies
	cargo run --locked -- serve

# Every test: pure policy, actors under paused time, real processes, the real embedded database, a real Redis, a real database server and a real browser.
test: test-dependencies server
	cargo test --locked --workspace

# The runner against an installed KAST, named by KASTREL_TEST_KAST.
test-kast: test-dependencies
	cargo test --locked --test integration -- --ignored --nocapture real_kast

# 1,000 nodes and 100,000 scans in memory: the numbers of docs/scaling.md.
simulate: dependencies
	KASTREL_SIMULATION=full cargo test --locked --release --package kastrel-actors --test scale -- --nocapture

# The database server that tests start. It is built once.
server: dependencies
	cargo build --locked --manifest-path tests/helpers/surreal-server/Cargo.toml --target-dir "$${CARGO_TARGET_DIR:-target}/surreal-server"

# Random faults at three workers, Redis and the database while scans come in: a table of what went wrong and what came of it, and the seed that repeats it. `make test` has a short form.
# How much and which: `make chaos CHAOS_SCANS=500 CHAOS_SECONDS=300 CHAOS_ROUNDS=3 CHAOS_SEED=7`.
chaos: export CHAOS_SCANS ?= 200
chaos: export CHAOS_SECONDS ?= 90
chaos: test-dependencies server
	cargo test --locked --workspace --no-run
	cargo test --locked --workspace --test integration -- --exact cluster::chaos::chaos --nocapture

# The numbers of the README, from a release build: a table, and target/bench.json.
bench: test-dependencies
	cargo build --locked --release --manifest-path tests/helpers/surreal-server/Cargo.toml --target-dir "$${CARGO_TARGET_DIR:-target}/surreal-server"
	cargo build --locked --release --bin kastrel --example fake-kast
	KASTREL_TEST_SURREAL_SERVER="$${CARGO_TARGET_DIR:-$(CURDIR)/target}/surreal-server/release/surreal-server" cargo bench --locked --bench kastrel

# The pictures of the README, in docs/images: made by the browser of the tests, from a demonstration that the fake KAST plays.
screenshots: test-dependencies
	cargo test --locked --workspace --test integration -- --ignored --exact browser::screenshots::screenshots

# What CI checks besides the tests.
lint: dependencies
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items --quiet
	./scripts/check-dependency-rule

fmt:
	cargo fmt --all
