//! Where lines go: standard error or the journal, the log file, syslog.
//!
//! Owns the open log file and the syslog socket. Never reports its own failures through the log (it
//! would be asked again); it counts them and says so when a sink works again.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::LogError;
use super::line::{self, Level, Line, Stamper};

const SYSLOG_SOCKET: &str = "/dev/log";

/// Where and how much to log; taken from the settings and the command line at start and at each
/// reload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// Lines on standard error (not with `-q` or `-d`).
    pub stderr: bool,
    /// `logfile`, opened for append and reopened at each reload.
    pub logfile: Option<PathBuf>,
    /// `syslog = 1`.
    pub syslog: Option<Syslog>,
    /// 0 normal, 1 DEBUG, 2 and more NOISE.
    pub verbosity: u8,
}

/// `syslog_ident` and `syslog_facility`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syslog {
    /// Name before the process id.
    pub ident: String,
    /// `auth`, `authpriv`, `daemon`, `user`, `local0` to `local7`; COMPAT: unknown means `daemon`.
    pub facility: String,
}

impl Syslog {
    fn facility_code(&self) -> u8 {
        match self.facility.to_ascii_lowercase().as_str() {
            "user" => 1,
            "auth" => 4,
            "authpriv" => 10,
            name => match name.strip_prefix("local").map(str::as_bytes) {
                Some([digit @ b'0'..=b'7']) => 16 + (digit - b'0'),
                _ => 3,
            },
        }
    }
}

/// The open sinks.
pub struct Sinks {
    stderr: Option<Stderr>,
    file: Option<File>,
    syslog: Option<SyslogSink>,
    stamper: Stamper,
    stamped: String,
    journal: String,
}

enum Stderr {
    Terminal,
    Journal,
}

struct SyslogSink {
    config: Syslog,
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl Sinks {
    /// Opens what `config` names.
    ///
    /// # Errors
    /// The log file cannot be opened: fatal at start; at a reload the old sinks stay.
    pub fn open(config: &LogConfig) -> Result<Self, LogError> {
        let file = config.logfile.as_deref().map(open_for_append).transpose()?;
        let stderr = config.stderr.then(|| {
            if stderr_is_journal() {
                Stderr::Journal
            } else {
                Stderr::Terminal
            }
        });
        let syslog = config.syslog.clone().map(|config| SyslogSink {
            config,
            path: SYSLOG_SOCKET.into(),
            socket: None,
        });
        Ok(Self {
            stderr,
            file,
            syslog,
            stamper: Stamper::system(),
            stamped: String::new(),
            journal: String::new(),
        })
    }

    /// Adds one line to what the next [`Sinks::write_out`] writes; syslog gets it at once.
    pub fn push(&mut self, line: &Line) {
        self.stamper.append(&mut self.stamped, line);
        if matches!(self.stderr, Some(Stderr::Journal)) {
            line::append_for_journal(&mut self.journal, line);
        }
        if let Some(syslog) = self.syslog.as_mut().filter(|_| line.level <= Level::Log) {
            syslog.send(line);
        }
    }

    /// Bytes waiting for [`Sinks::write_out`].
    pub fn pending(&self) -> usize {
        self.stamped.len()
    }

    /// Writes what was pushed, in one write per sink, so that lines of several processes in one file
    /// do not mix. A full disk or a closed terminal loses the lines: there is nowhere to say it.
    pub fn write_out(&mut self) {
        if let Some(file) = &mut self.file {
            let _ = file.write_all(self.stamped.as_bytes());
        }
        match self.stderr {
            Some(Stderr::Terminal) => {
                let _ = io::stderr().write_all(self.stamped.as_bytes());
            }
            Some(Stderr::Journal) => {
                let _ = io::stderr().write_all(self.journal.as_bytes());
            }
            None => {}
        }
        self.stamped.clear();
        self.journal.clear();
    }
}

impl SyslogSink {
    /// One datagram; a syslog daemon that was restarted is connected to anew, once per line.
    fn send(&mut self, line: &Line) {
        let priority = self.config.facility_code() * 8 + line.level.severity();
        let pid = std::process::id();
        let text = line.text.replace('\n', "\n\t");
        let datagram = format!("<{priority}>{}[{pid}]: {text}", self.config.ident);
        if let Some(socket) = &self.socket {
            match socket.send(datagram.as_bytes()) {
                Ok(_) => return,
                // A full queue is no reason to connect anew, and logging must not wait for it.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.socket = None,
            }
        }
        self.socket = connect(&self.path).ok();
        if let Some(socket) = &self.socket {
            let _ = socket.send(datagram.as_bytes());
        }
    }
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect(path)?;
    Ok(socket)
}

fn open_for_append(path: &Path) -> Result<File, LogError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .map_err(|source| LogError::Open {
            path: path.to_owned(),
            source,
        })
}

/// systemd names the device and inode of the stream it connected; a redirected stream differs.
fn stderr_is_journal() -> bool {
    let Ok(value) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let Ok(stat) = nix::sys::stat::fstat(io::stderr().as_fd()) else {
        return false;
    };
    value == format!("{}:{}", stat.st_dev, stat.st_ino)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    fn line(level: Level, text: &str) -> Line {
        Line {
            at: SystemTime::now(),
            level,
            text: text.into(),
        }
    }

    #[test]
    fn file_is_appended_to_and_survives_truncation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.log");
        std::fs::write(&path, "kept\n").unwrap();
        let config = LogConfig {
            logfile: Some(path.clone()),
            ..LogConfig::default()
        };
        let mut sinks = Sinks::open(&config).unwrap();
        sinks.push(&line(Level::Log, "first"));
        sinks.write_out();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("kept\n") && text.ends_with("LOG first\n"),
            "{text}"
        );
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(0)
            .unwrap();
        sinks.push(&line(Level::Log, "second"));
        sinks.write_out();
        let text = std::fs::read(&path).unwrap();
        assert!(
            text.starts_with(b"2") && text.ends_with(b"LOG second\n"),
            "no hole of zeros"
        );
    }

    #[test]
    fn a_log_file_that_cannot_be_opened_is_named() {
        let config = LogConfig {
            logfile: Some("/nowhere/p.log".into()),
            ..LogConfig::default()
        };
        let error = Sinks::open(&config).err().unwrap().to_string();
        assert!(
            error.starts_with("cannot open logfile: '/nowhere/p.log': No such file"),
            "{error}"
        );
    }

    #[test]
    fn syslog_gets_priority_ident_and_no_time_and_outlives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut sink = SyslogSink {
            config: Syslog {
                ident: "pgb".into(),
                facility: "LOCAL3".into(),
            },
            path: path.clone(),
            socket: None,
        };
        let mut buf = [0; 200];
        for round in 0..2 {
            let daemon = UnixDatagram::bind(&path).unwrap();
            sink.send(&line(Level::Warning, "odd\nthing"));
            let n = daemon.recv(&mut buf).unwrap();
            let expected = format!("<156>pgb[{}]: odd\n\tthing", std::process::id());
            assert_eq!(
                std::str::from_utf8(&buf[..n]).unwrap(),
                expected,
                "round {round}"
            );
            drop(daemon);
            std::fs::remove_file(&path).unwrap();
        }
        sink.send(&line(Level::Log, "nobody listens"));
    }

    #[test]
    fn facilities() {
        let code = |facility: &str| {
            Syslog {
                ident: String::new(),
                facility: facility.into(),
            }
            .facility_code()
        };
        assert_eq!(
            [
                "auth", "authpriv", "daemon", "user", "local0", "local7", "local8", "x"
            ]
            .map(code),
            [4, 10, 3, 1, 16, 23, 3, 3]
        );
    }
}
