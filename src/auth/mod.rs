//! Proving identity without I/O: md5, SCRAM-SHA-256, secrets and the keys they yield.
//!
//! Owns: the exchanges as state machines over bytes, the derived keys and their cache.
//! May touch: nothing but random bytes of the system. Never: sockets, files, tokio, the log;
//! a secret, a proof or a key never reaches `Debug`.
//! Sources: PostgreSQL "Password Authentication" (md5) and "SASL Authentication", RFC 5802,
//! RFC 7677, RFC 4013 as PostgreSQL applies them.

pub mod md5;
pub mod scram;
pub mod secret;

pub use secret::SecretKind;
