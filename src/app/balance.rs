//! Which lane runs a client: one lane is filled before the next is used.
//!
//! Fewer busy lanes mean fewer wake-ups and fuller epoll rounds (design.md 3). The control thread
//! measures each lane's CPU; a lane that is nearly full hands clients, as they become idle, to one
//! that has room.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::lane::Lane;

/// Share of a core, in per mille, from which on new clients go to the next lane.
const FULL: u32 = 600;
/// Share of a core from which on a lane hands clients over.
const CROWDED: u32 = 850;
/// A lane must have this much less to do to take clients over.
const GAP: u32 = 300;
/// Clients placed on one lane between two measurements before the next lane is tried: a burst is
/// over before its load can be measured.
const BURST: usize = 64;

/// Loads as last measured.
#[derive(Debug)]
pub struct Balance {
    lanes: Vec<Arc<Lane>>,
    loads: Vec<AtomicU32>,
    arrivals: Vec<AtomicUsize>,
    last: Mutex<(Instant, Vec<Duration>)>,
}

impl Balance {
    /// All lanes at rest.
    pub fn over(lanes: Vec<Arc<Lane>>) -> Self {
        Self {
            loads: lanes.iter().map(|_| AtomicU32::new(0)).collect(),
            arrivals: lanes.iter().map(|_| AtomicUsize::new(0)).collect(),
            last: Mutex::new((Instant::now(), cpu_times(&lanes))),
            lanes,
        }
    }

    /// The lane for a new client.
    pub fn lane_for_new(&self) -> usize {
        let has_room = |index: &usize| {
            self.loads[*index].load(Relaxed) < FULL && self.arrivals[*index].load(Relaxed) < BURST
        };
        let emptiest = || (0..self.lanes.len()).min_by_key(|index| self.lanes[*index].clients());
        let lane = (0..self.lanes.len())
            .find(has_room)
            .or_else(emptiest)
            .unwrap_or(0);
        self.arrivals[lane].fetch_add(1, Relaxed);
        lane
    }

    /// Measures, and asks a crowded lane to hand clients over.
    pub fn measure(&self) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = last.0.elapsed();
        if elapsed < Duration::from_millis(50) {
            return;
        }
        let now = cpu_times(&self.lanes);
        for (index, (now, before)) in now.iter().zip(&last.1).enumerate() {
            let used = now.saturating_sub(*before).as_micros() * 1_000 / elapsed.as_micros().max(1);
            self.loads[index].store(u32::try_from(used).unwrap_or(u32::MAX), Relaxed);
            self.arrivals[index].store(0, Relaxed);
        }
        *last = (Instant::now(), now);
        drop(last);
        self.even_out();
    }

    fn even_out(&self) {
        let load = |index: usize| self.loads[index].load(Relaxed);
        let lightest = (0..self.lanes.len()).map(load).min().unwrap_or(0);
        for (index, lane) in self.lanes.iter().enumerate() {
            let is_crowded = load(index) > CROWDED && load(index) > lightest + GAP;
            // A quarter of the clients at a time: the next measurement says whether it was enough.
            lane.ask_to_shed(if is_crowded {
                lane.clients().div_ceil(4)
            } else {
                0
            });
        }
    }
}

fn cpu_times(lanes: &[Arc<Lane>]) -> Vec<Duration> {
    lanes
        .iter()
        .map(|lane| lane.cpu_time().unwrap_or_default())
        .collect()
}
