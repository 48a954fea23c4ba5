//! The acceptor: gives each new connection to a lane.
//!
//! It runs on the first lane, which is filled first: nearly every login then needs no hand-over
//! between threads, which would cost it a tenth of its CPU.
//! Mirrors: `listen_*`, the end of listening at shutdown. When descriptors run out it says so once,
//! waits, and tries again; nothing spins.

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use super::balance::Balance;
use crate::client::Front;
use crate::lane::Lane;
use crate::net::listener::Listener;
use crate::net::{Socket, Stream};

/// Pause after an error of accept(2), which nearly always means that descriptors ran out.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Which listeners are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listening {
    /// All.
    All,
    /// The Unix socket only, for the console: a shutdown is waiting.
    UnixOnly,
    /// None: the end.
    None,
}

/// A listener in the form epoll wants.
struct Watched(Listener);

impl AsRawFd for Watched {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// Watches all listeners on `lane`; ends when `listening` says `None`.
pub fn start(
    listeners: Vec<Listener>,
    front: Arc<Front>,
    balance: Arc<Balance>,
    listening: watch::Receiver<Listening>,
    lane: &Lane,
) -> Acceptors {
    let acceptor = Arc::new(Acceptor {
        front,
        balance,
        is_short: AtomicBool::new(false),
    });
    let (open, all_closed) = mpsc::channel::<()>();
    for listener in listeners {
        let run = Arc::clone(&acceptor).run(listener, listening.clone());
        let open = open.clone();
        lane.spawn(async move {
            run.await;
            drop(open);
        });
    }
    Acceptors(all_closed)
}

/// The listeners that are watched.
pub struct Acceptors(mpsc::Receiver<()>);

impl Acceptors {
    /// Waits until every listener is closed and its socket file is gone.
    pub fn join(self) {
        // Nobody sends: the end of the last sender is what is waited for.
        let _ = self.0.recv();
    }
}

struct Acceptor {
    front: Arc<Front>,
    balance: Arc<Balance>,
    /// Accepting has failed and the log has said so.
    is_short: AtomicBool,
}

impl Acceptor {
    async fn run(self: Arc<Self>, listener: Listener, mut listening: watch::Receiver<Listening>) {
        let is_unix = listener.is_unix();
        let stays = move |now: &Listening| match now {
            Listening::All => true,
            Listening::UnixOnly => is_unix,
            Listening::None => false,
        };
        // SAFETY: `Watched` owns its listener, so the descriptor stays open and the same for as long
        // as it is registered, and `as_raw_fd` never names another one.
        let watched = match unsafe { AsyncFd::register(Watched(listener)) } {
            Ok(watched) => watched,
            Err(error) => return log::error!("cannot watch a listening socket: {error}"),
        };
        loop {
            tokio::select! {
                () = until(&mut listening, |now| !stays(now)) => break,
                ready = watched.readable() => match ready {
                    Ok(mut ready) => match ready.try_io(|fd| fd.get_ref().0.accept()) {
                        Ok(Ok(socket)) => self.hand_over(socket),
                        Ok(Err(error)) => self.on_error(&error).await,
                        Err(_would_block) => {}
                    },
                    Err(error) => self.on_error(&error).await,
                }
            }
        }
        watched.get_ref().0.remove_file();
    }

    fn hand_over(&self, socket: Socket) {
        if self.is_short.swap(false, Relaxed) {
            log::warn!("accepting connections again");
        }
        self.front
            .admit(Stream::from(socket), self.balance.lane_for_new());
    }

    async fn on_error(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::ConnectionAborted {
            return;
        }
        if !self.is_short.swap(true, Relaxed) {
            log::warn!("accept failed: {error}; waiting before the next try");
        }
        tokio::time::sleep(BACK_OFF).await;
    }
}

/// Waits until `listening` is as asked; a sender that is gone is the end as well.
async fn until(listening: &mut watch::Receiver<Listening>, is_so: impl Fn(&Listening) -> bool) {
    let _ = listening.wait_for(is_so).await;
}
