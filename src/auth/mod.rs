//! Proving identity without I/O: md5, SCRAM-SHA-256, secrets and the keys they yield.
