# The commands of the README. Each works in a fresh clone on a machine with the Rust toolchain.
# Missing build dependencies are installed first, or the command that installs them is printed.

.PHONY: dependencies test-dependencies run test test-fast test-kast chaos simulate bench bench-compare soak screenshots dist dist-test compose-test server chart-test lint lint-text fmt

# Installs a C++ compiler and libclang.
dependencies:
	./scripts/dependencies build

# Also installs the programs that the tests start: Redis, a browser, Python and npm.
test-dependencies:
	./scripts/dependencies build test

# Serves the dashboard on http://127.0.0.1:5000.
run: dependencies
	cargo run --locked -- serve

# Runs every test: pure policy, actors under paused time, real processes, the real embedded
# database, a real Redis, a real database server and a real browser. The first line has the pure
# parts of the comparison's harness: it takes a second and starts nothing.
test: test-dependencies
	cd benches/compare && python3 -m unittest discover --quiet --start-directory tests --top-level-directory .
	cargo test --locked --workspace

# Runs the tests that start no program: pure policy, actors under paused time, pages, parsers, the
# embedded database in memory. Under a minute after the build. The build is that of `make test`.
test-fast: dependencies
	cargo test --locked --workspace --lib --test architecture --test words -- --skip adapters::redis_queue::tests:: --skip adapters::surreal_store::tests::on_a_server:: --skip adapters::surreal_store::tests::remote:: --skip adapters::surreal_store::tests::lost_answers:: --skip adapters::surreal_store::tests::measure::

# Tests the runner with an installed KAST, named by KASTREL_TEST_KAST.
test-kast: test-dependencies
	cargo test --locked --test integration -- --ignored --nocapture real_kast

# Simulates 1,000 nodes and 100,000 scans in memory: the figures of docs/scaling.md.
simulate: dependencies
	KASTREL_SIMULATION=full cargo test --locked --release --package kastrel-actors --test scale -- --nocapture

# Builds the database server that the tests start. `make test` builds it with the tests.
server: dependencies
	cargo build --locked --profile test --example surreal-server

# Random faults of three workers, Redis and the database while scans are submitted. Prints a table
# of faults and outcomes, and the seed that repeats the run. `make test` has a short form.
# Size and seed: `make chaos CHAOS_SCANS=500 CHAOS_SECONDS=300 CHAOS_ROUNDS=3 CHAOS_SEED=7`.
chaos: export CHAOS_SCANS ?= 200
chaos: export CHAOS_SECONDS ?= 90
chaos: test-dependencies
	cargo test --locked --workspace --no-run
	cargo test --locked --workspace --test integration -- --exact cluster::chaos::chaos --nocapture

# Measures the README's figures with a release build: a table, and target/bench.json.
# Lists at 1,000,000 scans, whose restore takes many minutes, are measured only by name:
# `cargo bench --bench kastrel -- dashboard::million`.
bench: test-dependencies
	cargo build --locked --release --bin kastrel --examples
	cargo bench --locked --bench kastrel

# Measures Kastrel beside other job systems, each in an environment of its own: docs/benchmarks.md.
# Everything takes many hours. Smaller: `make bench-compare COMPARE="--tests T1,T8 --rounds 1
# --systems kastrel,celery"`; all options: `make bench-compare COMPARE=--help`. `--write` puts the
# tables into docs/benchmarks.md.
bench-compare:
	./scripts/dependencies build compare
	cargo build --locked --release --bin kastrel --example surreal-server
	cd benches/compare && python3 -m compare $(COMPARE)

# Keeps a server under load for an hour, with faults in the first half, and checks that no scan is
# lost and that memory stays flat: docs/benchmarks.md. Shorter: `make soak SOAK="--minutes 10"`.
soak:
	./scripts/dependencies build soak
	cargo build --locked --release --bin kastrel
	cd benches/compare && python3 -m compare.soak $(SOAK)

# Builds the packages into target/packages: a tarball, a Debian package, a bill of materials, checksums.
# `make dist PROGRAM=target/release/kastrel` packages a program that is built already.
dist:
	./scripts/dist $(PROGRAM)

# Installs the packages of `make dist` in a clean Debian root, in a container: start, scan, upgrade with
# a running scan, removal, purge. Needs root.
dist-test:
	./scripts/dependencies dist-test
	./scripts/dist-test target/packages/*.deb target/packages/*.tar.gz

# Runs docker-compose.yml in real containers of a Docker Engine of its own: scans, a killed worker,
# restarts of Redis and the database, scaling, backup and restore, an upgrade. Needs root. Takes
# minutes, so it is no part of .ci/run. With programs that are built already:
# `make compose-test PROGRAMS=DIR`, a folder with `kastrel` and `examples/surreal-server`.
# A part: `make compose-test COMPOSE_TEST="--only start,access,scans"`.
compose-test:
ifdef PROGRAMS
	./scripts/dependencies containers
else
	./scripts/dependencies build containers
	cargo build --locked --profile test --bin kastrel --example surreal-server
endif
	python3 tests/containers --programs "$(or $(PROGRAMS),$(or $(CARGO_TARGET_DIR),target)/debug)" $(COMPOSE_TEST)

# Writes the README's pictures to docs/images, with the browser of the tests and the demo of the
# fake KAST.
screenshots: test-dependencies
	cargo test --locked --workspace --test integration -- --ignored --exact browser::screenshots::screenshots

# Renders the chart with the engine of Helm, and checks the objects by the published schemas: no
# cluster, no build. The tools go into a cache folder.
chart-test:
	./scripts/dependencies chart
	cd tests/charts && folder="$$(../../scripts/dependencies chart-folder)" && KASTREL_CHART_TOOLS="$$folder" "$$folder/bin/python" -B -m unittest --quiet test_chart

# The lints. CI runs clippy and rustdoc in the build of its tests instead: see .ci/run.
lint: lint-text
	cargo clippy --locked --profile test --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --profile test --workspace --no-deps --document-private-items --quiet

# The lints that compile nothing of the workspace. cargo-deny does not check advisories, which are
# on a host that a build must not need: run `cargo deny check advisories` where it is reachable.
lint-text: export PATH := $(shell ./scripts/dependencies lint-folder)/bin:$(PATH)
lint-text: dependencies
	./scripts/dependencies lint
	cargo fmt --all --check
	typos
	cargo-machete
	cargo-deny --log-level error check bans licenses sources

fmt:
	cargo fmt --all
