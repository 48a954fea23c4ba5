//! A client from accept to goodbye: startup, login, idle, cancel.

mod cancel;
mod close;
pub mod front;
pub mod login;
mod serve;
mod timeouts;

pub use cancel::CancelKeys;
pub use serve::{Client, start};
pub use timeouts::ClientTimeouts;
