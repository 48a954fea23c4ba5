//! What passes: statements, transactions, activity.
//!
//! Owns the tables that lanes record into and that SHOW and /metrics read.
