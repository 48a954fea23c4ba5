//! A client from accept to goodbye: startup, login, idle, cancel.

mod cancel;
mod close;
pub mod front;
mod serve;
mod timeouts;

pub use cancel::CancelKeys;
pub use serve::{Client, start};
pub use timeouts::ClientTimeouts;
