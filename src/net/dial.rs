//! Connecting to PostgreSQL.
//!
//! Owns: outgoing sockets up to the connect. Never: waits without the caller's time limit in view;
//! dropping the future closes what was begun.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::net::{TcpSocket, UnixStream};

use super::{SocketOptions, Stream};

/// Connects over TCP. Cancel safe.
pub async fn tcp(address: SocketAddr, options: &SocketOptions) -> io::Result<Stream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Before the connect: buffer sizes decide the window that is announced.
    options.apply_tcp(&socket);
    Ok(Stream::from(socket.connect(address).await?))
}

/// Connects to a Unix socket; `@name` is in the abstract namespace. Cancel safe.
pub async fn unix(path: &Path) -> io::Result<Stream> {
    Ok(Stream::from(UnixStream::connect(kernel_name(path)).await?))
}

/// The name as the kernel takes it: a leading `@` stands for the zero byte of the abstract
/// namespace.
pub(super) fn kernel_name(path: &Path) -> PathBuf {
    match path.to_str().and_then(|text| text.strip_prefix('@')) {
        Some(rest) => PathBuf::from(format!("\0{rest}")),
        None => path.to_owned(),
    }
}
