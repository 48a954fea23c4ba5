//! systemd: readiness, reloads, status text, sockets it opened for us.
//!
//! Owns the notification socket's address. Without systemd everything here does nothing. Never
//! blocks start or stop: a failed notification is logged at DEBUG. Source: sd_notify(3),
//! sd_listen_fds(3), surface 2.3.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};

use sd_notify::NotifyState;

/// Tells systemd how the process is doing.
#[derive(Clone, Debug, Default)]
pub struct Notifier {
    socket: Option<OsString>,
}

impl Notifier {
    /// Takes the address from `NOTIFY_SOCKET`; without it every call does nothing.
    pub fn from_env() -> Self {
        Self {
            socket: std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty()),
        }
    }

    /// Connections are accepted, or a reload is done.
    pub fn ready(&self) {
        self.notify(&[NotifyState::Ready]);
    }

    /// A reload begins; [`Notifier::ready`] ends it (`Type=notify-reload`).
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.notify(&[NotifyState::Reloading, now]),
            Err(_) => self.notify(&[NotifyState::Reloading]),
        }
    }

    /// The process is on its way out.
    pub fn stopping(&self) {
        self.notify(&[NotifyState::Stopping]);
    }

    /// One line for `systemctl status`.
    pub fn status(&self, text: &str) {
        self.notify(&[NotifyState::Status(&text.replace('\n', " "))]);
    }

    fn notify(&self, states: &[NotifyState<'_>]) {
        if let Some(socket) = &self.socket
            && let Err(error) = send(socket, states)
        {
            log::debug!("cannot notify systemd: {error}");
        }
    }
}

/// Own sending, because the crate reads the address from the environment at each call and knows no
/// abstract sockets, which containers use.
fn send(socket: &OsString, states: &[NotifyState<'_>]) -> io::Result<()> {
    let mut text = String::new();
    for state in states {
        let _ = writeln!(text, "{state}");
    }
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?
        .send_to_addr(text.as_bytes(), &address)
        .map(drop)
}

/// The sockets systemd opened for this process (`LISTEN_FDS`), already close-on-exec; empty when
/// there are none or when they were handed out before.
///
/// # Errors
/// The variables are malformed, or a descriptor is not open.
pub fn listen_fds() -> io::Result<Vec<OwnedFd>> {
    // Owning a descriptor twice would close somebody else's.
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(Vec::new());
    }
    let numbers = sd_notify::listen_fds()?;
    // SAFETY: systemd opened these for this process (LISTEN_PID was compared, fcntl found each one
    // open), and TAKEN makes sure that they get one owner only.
    Ok(numbers
        .map(|number| unsafe { OwnedFd::from_raw_fd(number) })
        .collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut buf = [0; 200];
        let n = socket.recv(&mut buf).unwrap();
        String::from_utf8(buf[..n].to_vec()).unwrap()
    }

    #[test]
    fn states_on_the_wire() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier {
            socket: Some(path.into()),
        };
        notifier.ready();
        assert_eq!(received(&systemd), "READY=1\n");
        notifier.reloading();
        let text = received(&systemd);
        assert!(text.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{text}");
        notifier.stopping();
        assert_eq!(received(&systemd), "STOPPING=1\n");
        notifier.status("stats: 1 xacts/s\nmore");
        assert_eq!(received(&systemd), "STATUS=stats: 1 xacts/s more\n");
    }

    #[test]
    fn abstract_sockets_work() {
        let name = format!("pgweir-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let systemd = UnixDatagram::bind_addr(&address).unwrap();
        Notifier {
            socket: Some(format!("@{name}").into()),
        }
        .ready();
        assert_eq!(received(&systemd), "READY=1\n");
    }

    #[test]
    fn nothing_happens_without_systemd() {
        Notifier::default().ready();
        Notifier {
            socket: Some("/nowhere/notify".into()),
        }
        .ready();
        assert_eq!(listen_fds().unwrap().len(), 0);
    }
}
