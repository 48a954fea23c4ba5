//! `-d`: leave the terminal.
//!
//! Owns the two forks and the standard streams. Must run before the first thread: a child of `fork`
//! has only the thread that called it, and locks held by the others stay locked for ever.
//! Mirrors: surface 2.1 (the parent ends before anything listens, so bind errors are in the log only).

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

use nix::unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, fork, setsid};

/// Why the process stays in the foreground; fatal.
#[derive(Debug, thiserror::Error)]
pub enum BackgroundError {
    /// Without a pidfile nobody would find the process.
    #[error("daemon needs pidfile configured")]
    NoPidFile,
    /// Forking now would lose threads.
    #[error("cannot detach: {0} threads are running")]
    Threads(usize),
    /// fork, setsid or the streams.
    #[error("cannot detach: {0}")]
    System(#[from] io::Error),
}

impl From<nix::Error> for BackgroundError {
    fn from(errno: nix::Error) -> Self {
        BackgroundError::System(errno.into())
    }
}

/// Detaches: returns in a new process, in a session of its own, with its streams on `/dev/null`. The
/// processes before it end with status 0. The working directory stays, because a relative
/// configuration path is read again at each reload.
///
/// # Errors
/// No pidfile, threads already running, or the system refuses.
pub fn detach(pidfile: Option<&Path>) -> Result<(), BackgroundError> {
    if pidfile.is_none_or(|path| path.as_os_str().is_empty()) {
        return Err(BackgroundError::NoPidFile);
    }
    let threads = fs::read_dir("/proc/self/task")?.count();
    if threads > 1 {
        return Err(BackgroundError::Threads(threads));
    }
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    leave_parent()?;
    setsid()?;
    // Not a session leader any more: no terminal can become ours.
    leave_parent()?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}

fn leave_parent() -> Result<(), BackgroundError> {
    // SAFETY: the caller made sure that this is the only thread, so the child may do anything.
    match unsafe { fork() }? {
        ForkResult::Child => Ok(()),
        // SAFETY: _exit ends the process without running exit handlers, whose work (pidfile, socket
        // files, buffered output) belongs to the child now.
        ForkResult::Parent { .. } => unsafe { libc::_exit(0) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_without_pidfile_and_with_threads() {
        for none in [None, Some(Path::new(""))] {
            let error = detach(none).map_err(|e| e.to_string());
            assert_eq!(error, Err("daemon needs pidfile configured".into()));
        }
        // The test runner has threads of its own.
        let error = detach(Some(Path::new("/tmp/p.pid")));
        assert!(
            matches!(error, Err(BackgroundError::Threads(_))),
            "{error:?}"
        );
    }
}
