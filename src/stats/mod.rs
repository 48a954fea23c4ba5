//! Counters and slots: the one source for SHOW, `/metrics` and the janitor.
//!
//! Owns every number that is shown. Writers are single (the lane that runs the client or holds the
//! server) and use plain loads and stores; readers (console, scrape) never visit a lane and may see
//! a value that is a moment old. Must never block and never decide anything.

pub mod activity;
pub mod averages;
pub mod clock;
pub mod counters;
pub mod events;
pub mod pins;
pub mod slots;
pub mod states;

pub use activity::Activity;
pub use averages::Averages;
pub use counters::{Count, LaneCounters, PoolCounters, Totals};
pub use events::{Event, Events};
pub use pins::Pins;
pub use slots::{ClientSlot, Registry, ServerSlot};
pub use states::{ClientState, ServerState};
