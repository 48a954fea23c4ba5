//! What pgweir promises, told from outside: real PostgreSQL, real binary, bytes on the wire.
//! One chapter: `cargo test --test spec transaction`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "spec/support/mod.rs"]
mod support;

// When a server is linked and released: transactions, pipelines, COPY, big messages.
#[path = "spec/transaction.rs"]
mod transaction;
