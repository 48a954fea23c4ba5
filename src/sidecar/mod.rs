//! Asks PostgreSQL what the wire does not tell: locks, health, the operator's own queries.
//!
//! Owns the connections of `monitor_user`. Publishes what it learnt to `insight`; never touches a
//! pool.
