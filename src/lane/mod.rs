//! Lanes: one OS thread with a current-thread runtime each.
//!
//! A lane runs its clients and the servers they hold. The multi-thread runtime costs more in futex
//! traffic than PgBouncer's whole margin (design.md 2), so lanes share nothing but the pools.
//! Owns the threads and their runtimes; knows nothing of clients or servers.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// One lane, seen from anywhere.
#[derive(Debug)]
pub struct Lane {
    /// Position, 0-based; also the index of its counters and queues.
    pub index: usize,
    handle: Handle,
    cpu_clock: Option<nix::time::ClockId>,
    clients: AtomicUsize,
    /// Clients that this lane shall hand to another one when they are next idle.
    shed: AtomicUsize,
}

impl Lane {
    /// Runs a task on this lane; callable from any thread.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(task)
    }

    /// CPU time the lane's thread has used; `None` where the system cannot tell.
    pub fn cpu_time(&self) -> Option<Duration> {
        let clock = self.cpu_clock?;
        nix::time::clock_gettime(clock).ok().map(Duration::from)
    }

    /// Clients on the lane.
    pub fn clients(&self) -> usize {
        self.clients.load(Relaxed)
    }
    /// A client arrived.
    pub fn client_arrived(&self) {
        self.clients.fetch_add(1, Relaxed);
    }
    /// A client left.
    pub fn client_left(&self) {
        self.clients.fetch_sub(1, Relaxed);
    }

    /// Asks for `count` clients to move elsewhere.
    pub fn ask_to_shed(&self, count: usize) {
        self.shed.store(count, Relaxed);
    }
    /// HOT. Whether the calling client, being idle, shall move. One relaxed load when not.
    #[inline]
    pub fn take_shed(&self) -> bool {
        self.shed.load(Relaxed) > 0
            && self
                .shed
                .fetch_update(Relaxed, Relaxed, |n| n.checked_sub(1))
                .is_ok()
    }
}

/// All lanes of the process. Dropping it ends the threads.
#[derive(Debug)]
pub struct Lanes {
    all: Vec<Arc<Lane>>,
    stop: watch::Sender<bool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Lanes {
    /// Starts `count` lanes (at least one). Fails when a thread or its epoll cannot be made.
    pub fn start(count: usize) -> io::Result<Self> {
        let (stop, _) = watch::channel(false);
        let mut lanes = Self {
            all: Vec::new(),
            stop,
            threads: Vec::new(),
        };
        for index in 0..count.max(1) {
            lanes.start_one(index)?;
        }
        Ok(lanes)
    }

    fn start_one(&mut self, index: usize) -> io::Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let mut stopped = self.stop.subscribe();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name(format!("lane-{index}"))
            .spawn(move || {
                let _ = tell.send(own_cpu_clock());
                // An error means that the sender is gone, which is a stop as well.
                runtime.block_on(async move {
                    let _ = stopped.wait_for(|stop| *stop).await;
                });
                runtime.shutdown_timeout(Duration::from_millis(100));
            })?;
        self.threads.push(thread);
        self.all.push(Arc::new(Lane {
            index,
            handle,
            cpu_clock: told.recv().ok().flatten(),
            clients: AtomicUsize::new(0),
            shed: AtomicUsize::new(0),
        }));
        Ok(())
    }

    /// The lanes in order.
    pub fn all(&self) -> &[Arc<Lane>] {
        &self.all
    }

    /// Ends all lanes and waits for their threads.
    pub fn stop(mut self) {
        let _ = self.stop.send(true);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The clock of the calling thread's CPU time, readable from other threads.
fn own_cpu_clock() -> Option<nix::time::ClockId> {
    let tid = nix::unistd::gettid();
    // The kernel's encoding of a per-thread clock (clock_getcpuclockid(3), CPUCLOCK_PERTHREAD |
    // CPUCLOCK_SCHED); `pthread_getcpuclockid` would give the same number by way of unsafe code.
    let raw = (!tid.as_raw() << 3) | 0b110;
    let clock = nix::time::ClockId::from_raw(raw);
    nix::time::clock_gettime(clock).ok().map(|_| clock)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_runs_tasks_on_its_own_thread_and_knows_its_cpu_time() {
        let lanes = Lanes::start(2).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let task = async move {
            let _ = tell.send(std::thread::current().name().map(str::to_owned));
        };
        lanes.all()[1].spawn(task);
        assert_eq!(told.recv().unwrap().as_deref(), Some("lane-1"));
        assert!(lanes.all()[1].cpu_time().is_some());
        lanes.stop();
    }

    #[test]
    fn shedding_hands_out_as_many_moves_as_were_asked_for() {
        let lanes = Lanes::start(1).unwrap();
        let lane = &lanes.all()[0];
        assert!(!lane.take_shed());
        lane.ask_to_shed(2);
        assert!(lane.take_shed());
        assert!(lane.take_shed());
        assert!(!lane.take_shed());
    }
}
