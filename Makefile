# The commands of the README. Each works in a fresh clone on a machine with the Rust toolchain and a C compiler.

.PHONY: run test test-kast chaos bench lint fmt

# Serves the dashboard on http://127.0.0.1:5000.
run:
	cargo run --locked -- serve

# Every test: pure policy, actors under paused time, real processes, the real embedded database.
test:
	cargo test --locked --workspace

# The runner against an installed KAST, named by KASTREL_TEST_KAST.
test-kast:
	cargo test --locked --test integration -- --ignored --nocapture real_kast

# Random faults at three workers, Redis and the database while scans come in: a table of what went wrong and what came of it, and the seed that repeats it. `make test` has a short form.
# How much and which: `make chaos CHAOS_SCANS=500 CHAOS_SECONDS=300 CHAOS_ROUNDS=3 CHAOS_SEED=7`.
chaos: export CHAOS_SCANS ?= 200
chaos: export CHAOS_SECONDS ?= 90
chaos:
	cargo test --locked --workspace --no-run
	cargo test --locked --workspace --test integration -- --exact cluster::chaos::chaos --nocapture

# The numbers of the README, from a release build: a table, and target/bench.json.
bench:
	cargo build --locked --release --bin kastrel --example fake-kast
	cargo bench --locked --bench kastrel

# What CI checks besides the tests.
lint:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items --quiet
	./scripts/check-dependency-rule

fmt:
	cargo fmt --all
