//! What a client asked for, what a server has, and the difference.
//!
//! The third column beside client and server: linking makes the server match the client with the
//! least traffic. Owns tracked parameters (surface 6.3), all other settings, what the end of a
//! transaction does to them, and named prepared statements (6.4). Touches no socket.

pub mod block;
pub mod call_graph;
pub mod deed;
pub mod functions;
pub mod names;
pub mod on_server;
pub mod params;
pub mod prepared;
pub mod sequences;
pub mod settings;
pub mod state;
