# make test    installs what the tests need and passes them
# make demo    a throw-away PostgreSQL and pgweir under an Odoo-shaped load (DURATION=seconds)
# make grouping PostgreSQL's regression SQL: agreement of fingerprints with its query_id (minutes)
# make bench   pgweir beside PgBouncer, one table of ratios (BENCH='--quick --only simple16')

SHELL := /bin/bash
CARGO ?= cargo
DURATION ?=
BENCH ?=

.PHONY: help test lint unit spec demo bench grouping needs

help:
	@sed -n 's/^# make/make/p' Makefile

test: needs lint unit spec

# Rust itself is the one thing not installed here.
needs:
	@command -v $(CARGO) >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "a C compiler is missing: apt-get install build-essential" >&2; exit 1; }
	@bash tests/tools/postgres.sh --install
# Without these only the tests that compare with them fail, and say so.
	-@bash tests/tools/postgres.sh --install --exactly 16
	-@bash tests/tools/postgres.sh --install --exactly 18
	@bash tests/tools/python.sh --install
	@bash tests/tools/promtool.sh --install
	@bash tests/tools/pgbadger.sh --install

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --no-deps --lib

unit:
	$(CARGO) test --lib --bins
	$(CARGO) test --test architecture

# More threads than cores: most of a test's time is waiting.
spec:
	$(CARGO) test --test spec -- --test-threads=4

demo: needs
	$(CARGO) build --release --bin pgweir
	@PGWEIR_BIN="$${CARGO_TARGET_DIR:-target}/release/pgweir" "$$(bash tests/tools/python.sh)" tests/tools/demo.py $(DURATION)

bench: needs
	$(CARGO) bench --bench side_by_side -- $(BENCH)

grouping: needs
	$(CARGO) build --release --bin pgweir
	@PGWEIR_BIN="$${CARGO_TARGET_DIR:-target}/release/pgweir" python3 tests/tools/grouping.py $(GROUPING)
