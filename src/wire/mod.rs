//! Bytes of the protocol, version 3; no I/O, no tokio.
