//! Bytes of the protocol, version 3 (PostgreSQL documentation, chapter "Frontend/Backend Protocol").
//!
//! Owns the layout of frames and nothing else: no I/O, no tokio, no state of a connection. Every
//! parser here takes a slice and returns a value or says that it cannot; none may panic, whatever
//! the bytes.

pub mod backend;
pub mod frame;
pub mod frontend;
pub mod startup;
pub mod version;
pub mod welcome;
