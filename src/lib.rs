//! pgweir: a PostgreSQL pooler that takes PgBouncer's place and shows what the database is doing.
//!
//! Read the rooms in this order to follow one query from the socket to PostgreSQL and back;
//! dependencies point down only (`tests/architecture.rs` holds them to it):
//!
//! ```text
//!             app                              start, stop, reload, assembling
//!  faces      admin   http   daemon            console · metrics and health · logs, signals, systemd
//!             sidecar                          asking PostgreSQL about locks and health
//!             client                           accept to goodbye: login, idle, cancel
//!             link                             the relay: hot path
//!             request                          what a message means, given the client's state
//!             pool                             checkout, release, limits, deadlines
//!             listen                           notifications: one listening connection for many clients
//!             server                           one PostgreSQL connection
//!             insight                          statements, transactions, activity: counted and timed
//!             session                          what a client set, what a server has, the difference
//!             stats                            counters and slots: the one source for SHOW and /metrics
//!  ground     lane   auth   net   config       runtimes · md5 and SCRAM · sockets, TLS, buffers · settings
//!             sql   wire   error               lexer, fingerprints · bytes of the protocol · every text a client can see
//! ```

pub mod admin;
pub mod app;
pub mod auth;
pub mod client;
pub mod config;
pub mod daemon;
pub mod error;
pub mod http;
pub mod insight;
pub mod lane;
pub mod link;
pub mod listen;
pub mod net;
pub mod pool;
pub mod request;
pub mod server;
pub mod session;
pub mod sidecar;
pub mod sql;
pub mod stats;
pub mod wire;
