# The commands of the README. Each works in a fresh clone on a machine with the Rust toolchain and a C compiler.

.PHONY: run test test-kast bench lint fmt

# Serves the dashboard on http://127.0.0.1:5000.
run:
	cargo run --locked -- serve

# Every test: pure policy, actors under paused time, real processes, the real database, embedded and as a server. The server is built first: minutes, once.
test:
	cargo build --locked --release --manifest-path tests/helpers/surreal-server/Cargo.toml --target-dir "$${CARGO_TARGET_DIR:-target}/surreal-server"
	cargo test --locked --workspace

# The runner against an installed KAST, named by KASTREL_TEST_KAST.
test-kast:
	cargo test --locked --test integration -- --ignored --nocapture real_kast

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
