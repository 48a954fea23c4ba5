//! Socket options that settings ask for.
//!
//! Owns: the `tcp_*` settings on sockets of both sides. Never: fails a connection because an
//! option was refused; PgBouncer logs and goes on, and so do we (at debug level).

use std::os::fd::AsFd;
use std::time::Duration;

use crate::config::Settings;
use socket2::{SockRef, TcpKeepalive};

/// The `tcp_*` settings; zero means the system's default throughout, as in PgBouncer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// `tcp_keepalive`: SO_KEEPALIVE.
    pub keepalive: bool,
    /// `tcp_keepidle`, seconds.
    pub keepidle: u32,
    /// `tcp_keepintvl`, seconds.
    pub keepintvl: u32,
    /// `tcp_keepcnt`, probes.
    pub keepcnt: u32,
    /// `tcp_user_timeout`, milliseconds.
    pub user_timeout: u32,
    /// `tcp_socket_buffer`, bytes: SO_SNDBUF and SO_RCVBUF.
    pub socket_buffer: usize,
}

impl Default for SocketOptions {
    /// PgBouncer's defaults: keepalive on, everything else the system's.
    fn default() -> Self {
        Self {
            keepalive: true,
            keepidle: 0,
            keepintvl: 0,
            keepcnt: 0,
            user_timeout: 0,
            socket_buffer: 0,
        }
    }
}

impl From<&Settings> for SocketOptions {
    fn from(settings: &Settings) -> Self {
        let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        Self {
            keepalive: settings.tcp_keepalive,
            keepidle: seconds(settings.tcp_keepidle),
            keepintvl: seconds(settings.tcp_keepintvl),
            keepcnt: settings.tcp_keepcnt,
            user_timeout: u32::try_from(settings.tcp_user_timeout.as_millis()).unwrap_or(u32::MAX),
            socket_buffer: settings.tcp_socket_buffer as usize,
        }
    }
}

impl SocketOptions {
    /// Applies everything to a TCP socket: TCP_NODELAY always, the rest as set.
    pub fn apply_tcp(&self, socket: &impl AsFd) {
        let socket = SockRef::from(socket);
        note("TCP_NODELAY", socket.set_tcp_nodelay(true));
        if self.keepalive {
            let mut probes = TcpKeepalive::new();
            if self.keepidle > 0 {
                probes = probes.with_time(Duration::from_secs(self.keepidle.into()));
            }
            if self.keepintvl > 0 {
                probes = probes.with_interval(Duration::from_secs(self.keepintvl.into()));
            }
            if self.keepcnt > 0 {
                probes = probes.with_retries(self.keepcnt);
            }
            note("SO_KEEPALIVE", socket.set_tcp_keepalive(&probes));
        }
        if self.user_timeout > 0 {
            let limit = Duration::from_millis(self.user_timeout.into());
            note("TCP_USER_TIMEOUT", socket.set_tcp_user_timeout(Some(limit)));
        }
        if self.socket_buffer > 0 {
            note("SO_SNDBUF", socket.set_send_buffer_size(self.socket_buffer));
            note("SO_RCVBUF", socket.set_recv_buffer_size(self.socket_buffer));
        }
    }
}

fn note(option: &str, result: std::io::Result<()>) {
    if let Err(error) = result {
        log::debug!("setting {option} failed: {error}");
    }
}
