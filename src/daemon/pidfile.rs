//! The pidfile: one process per file.
//!
//! Owns the file from its creation to its removal at exit. Never overwrites one that belongs to a
//! living process. Mirrors: surface 2.1.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

/// Why there is no pidfile; fatal at start.
#[derive(Debug, thiserror::Error)]
pub enum PidFileError {
    /// Its process lives.
    #[error("pidfile '{}' exists, another instance running?", .0.display())]
    InUse(PathBuf),
    /// It cannot be read.
    #[error("could not read pidfile '{}': {source}", path.display())]
    Read {
        /// As configured.
        path: PathBuf,
        /// From the system.
        source: io::Error,
    },
    /// It cannot be created.
    #[error("could not open pidfile '{}': {source}", path.display())]
    Open {
        /// As configured.
        path: PathBuf,
        /// From the system.
        source: io::Error,
    },
    /// It was created and cannot be filled.
    #[error("could not write pidfile '{}': {source}", path.display())]
    Write {
        /// As configured.
        path: PathBuf,
        /// From the system.
        source: io::Error,
    },
    /// It is stale and stays.
    #[error("could not remove stale pidfile '{}': {source}", path.display())]
    Remove {
        /// As configured.
        path: PathBuf,
        /// From the system.
        source: io::Error,
    },
}

/// Removes the pidfile of a process that is gone; early in the start, so that a second instance ends
/// before it touches anything.
///
/// # Errors
/// The process lives, or the file cannot be read or removed.
pub fn clear_stale(path: &Path) -> Result<(), PidFileError> {
    let named = |source: io::Error| PidFileError::Read {
        path: path.to_owned(),
        source,
    };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(named(error)),
    };
    if !is_stale(&text) {
        return Err(PidFileError::InUse(path.to_owned()));
    }
    log::info!("stale pidfile, removing");
    fs::remove_file(path).map_err(|source| PidFileError::Remove {
        path: path.to_owned(),
        source,
    })
}

/// A file without a number says nothing about who is alive, so it is not ours to remove. Our own
/// number is a leftover: in a container every start may get the same one.
fn is_stale(text: &str) -> bool {
    match text.trim().parse::<i32>() {
        Ok(pid) if pid == std::process::id().cast_signed() => true,
        Ok(pid) if pid > 0 => kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH),
        _ => false,
    }
}

/// The file of this process; removed when dropped.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// Writes `<pid>\n` to a new file, mode 0644, for the process that calls this (so after
    /// detaching).
    ///
    /// # Errors
    /// Somebody was faster, or the file cannot be written.
    pub fn create(path: &Path) -> Result<Self, PidFileError> {
        clear_stale(path)?;
        let opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(path);
        let mut file = opened.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => PidFileError::InUse(path.to_owned()),
            _ => PidFileError::Open {
                path: path.to_owned(),
                source,
            },
        })?;
        let pid_file = Self {
            path: path.to_owned(),
        };
        file.write_all(format!("{}\n", std::process::id()).as_bytes())
            .map_err(|source| PidFileError::Write {
                path: path.to_owned(),
                source,
            })?;
        Ok(pid_file)
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let ours = format!("{}\n", std::process::id());
        // An operator may have removed it and started another instance meanwhile.
        let is_ours =
            fs::read_to_string(&self.path).is_ok_and(|text| text == ours || text.is_empty());
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            log::warn!(
                "could not remove pidfile '{}': {error}",
                self.path.display()
            );
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn holds_our_number_and_goes_with_us() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.pid");
        let file = PidFile::create(&path).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            format!("{}\n", std::process::id())
        );
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o133, 0);
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_living_owner_is_respected() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.pid");
        for text in ["1\n", "not a number"] {
            fs::write(&path, text).unwrap();
            let expected = format!(
                "pidfile '{}' exists, another instance running?",
                path.display()
            );
            assert_eq!(clear_stale(&path).unwrap_err().to_string(), expected);
            assert_eq!(PidFile::create(&path).unwrap_err().to_string(), expected);
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn stale_files_go_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.pid");
        clear_stale(&path).unwrap();
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        for pid in [gone.id(), std::process::id()] {
            fs::write(&path, format!("{pid}\n")).unwrap();
            clear_stale(&path).unwrap();
            assert!(!path.exists(), "{pid}");
        }
    }

    #[test]
    fn somebody_elses_file_is_not_removed_at_exit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.pid");
        let file = PidFile::create(&path).unwrap();
        fs::write(&path, "1\n").unwrap();
        drop(file);
        assert!(path.exists());
    }
}
