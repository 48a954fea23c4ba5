//! The process: command line, logs, signals, pidfile, user, limits, systemd.
//!
//! Owns what stands between pgweir and the operating system. Knows no client, no pool and no
//! configuration file: every value it needs is passed in. Must never decide what a signal means for
//! clients; it says which one came, `app` acts.
//! Source: `pgbouncer(1)`, surface 2.
//!
//! Order at start, for a reason each: read the command line; [`log::install`] to standard error only;
//! read the configuration (its errors belong on the terminal); [`privileges::settle`] (what is opened
//! from now on belongs to the final account); [`log::LogHandle::apply`] with the log file;
//! [`pidfile::clear_stale`]; [`background::detach`] (forks, so before any thread);
//! [`log::LogHandle::start_writer`] (the first thread); [`limits::raise_descriptors`]; listen;
//! [`pidfile::PidFile::create`] (a pidfile says that connections are taken); READY to systemd. At the
//! end: drop the pidfile, then [`log::LogHandle::flush`].

pub mod background;
pub mod cli;
pub mod limits;
pub mod log;
pub mod memory;
pub mod pidfile;
pub mod privileges;
pub mod signals;
pub mod systemd;
