//! The harness: real PostgreSQL clusters, the real binary, a byte-level client.
//!
//! Owns every process and folder a test starts and ends them, also on panic and when the test
//! process is killed. Binaries: `PGWEIR_BIN` is the pooler under test (default: the one cargo
//! built; a PgBouncer works too and shows whether a test describes PgBouncer's behaviour),
//! `tests/tools/postgres.sh` finds PostgreSQL.
#![allow(dead_code, unused_imports)]

mod bouncer;
pub mod frames;
pub mod metric_names;
mod pg;
mod process;
pub mod programs;
mod proxy;
mod raw;
mod reply;
pub mod secrets;
pub mod shapes;
mod tls;
pub mod witness;

pub use bouncer::{Bouncer, Exit, Running, binary, is_pgweir, version};
pub use pg::{Pg, tools};
pub use process::{Proc, Workdir, account, free_port, output_of};
pub use proxy::{Behaviour, FakeServer, Proxy};
pub use raw::{Login, RawClient};
pub use reply::{Message, Notification, PgError, Reply, Row};
pub use tls::{Authority, client_config};

use std::time::{Duration, Instant};

/// How long anything may take before a test gives up: generous, because machines are shared.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `fact` holds; panics with `why` (and the pooler's log, where a test has it at hand)
/// when patience runs out.
pub fn soon(why: &str, mut fact: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !fact() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {why}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// `assert_soon!(condition, "why")`: the only way a test waits for something.
#[macro_export]
macro_rules! assert_soon {
    ($fact:expr, $($why:tt)+) => {
        $crate::support::soon(&format!($($why)+), || $fact)
    };
}

/// Leaves the test when the binary under test is not pgweir: what follows is our improvement
/// on PgBouncer (surface section 8), or has no counterpart there.
#[macro_export]
macro_rules! only_pgweir {
    () => {
        if !$crate::support::is_pgweir() {
            eprintln!("skipped: describes pgweir only");
            return;
        }
    };
}
