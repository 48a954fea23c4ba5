//! HOT. One connection's byte stream, plain or TLS.
//!
//! Owns: the socket and, for TLS, the boxed session. Never: allocates per read or write, buffers on
//! the plain path, or looks at what the bytes mean.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use socket2::SockRef;
use tokio::io::AsyncWrite;
use tokio::net::{TcpStream, UnixStream};

use super::endpoint::Endpoint;
use super::socket::Socket;
use super::tls::Tls;

/// Who is at the other end of a Unix socket (SO_PEERCRED).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerCred {
    /// Effective user when the peer connected.
    pub uid: u32,
    /// The peer's process.
    pub pid: i32,
}

/// One connection: owned, `Send`, small. `Pending` from a detached stream wakes nobody.
#[derive(Debug)]
pub enum Stream {
    /// Bytes go to the socket as they are.
    Plain(Socket),
    /// Bytes go through a TLS session.
    Tls(Box<Tls>),
}

impl Stream {
    /// Reads once; 0 means the peer has finished.
    #[inline]
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Plain(socket) => socket.poll_read(cx, buf),
            Stream::Tls(tls) => tls.poll_read(cx, buf),
        }
    }

    /// Writes once. With TLS the bytes may wait in the session until [`Stream::poll_flush`].
    #[inline]
    pub fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Plain(socket) => socket.poll_write(cx, buf),
            Stream::Tls(tls) => tls.poll_write(cx, buf),
        }
    }

    /// Sends what a TLS session holds; a plain stream holds nothing. Once per chunk.
    #[inline]
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(_) => Poll::Ready(Ok(())),
            Stream::Tls(tls) => tls.poll_send(cx),
        }
    }

    /// Waits, without a buffer, until a read would find bytes, EOF or an error.
    #[inline]
    pub fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(socket) => socket.poll_read_ready(cx),
            Stream::Tls(tls) => tls.poll_read_ready(cx),
        }
    }

    /// False when bytes, EOF or an error wait. No syscall unless the reactor says readable.
    ///
    /// With TLS it may take the place of the waker of a pending read: poll the read again afterwards.
    pub fn is_quiet(&mut self) -> bool {
        match self {
            Stream::Plain(socket) => socket.is_quiet(),
            Stream::Tls(tls) => tls.is_quiet(false),
        }
    }

    /// As [`Stream::is_quiet`], but always asks the kernel: for a stream that has just moved lanes.
    pub fn peek_is_quiet(&mut self) -> bool {
        match self {
            Stream::Plain(socket) => socket.peek_is_quiet(),
            Stream::Tls(tls) => tls.is_quiet(true),
        }
    }

    /// Takes the stream off its lane's reactor; callable from any thread.
    pub fn detach(&mut self) -> io::Result<()> {
        self.socket_mut().detach()
    }

    /// Registers the stream with the current lane's reactor.
    pub fn attach(&mut self) -> io::Result<()> {
        self.socket_mut().attach()
    }

    /// Waits for bytes and reads once; 0 means the peer has finished. Cancel safe.
    pub async fn read_some(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx, buf)).await
    }

    /// Writes everything and flushes. Not cancel safe: a part may have been sent.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = poll_fn(|cx| self.poll_write(cx, bytes)).await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[count..];
        }
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Says goodbye: close_notify on TLS, then no more writing. Cancel safe.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => poll_fn(|cx| Pin::new(&mut *socket).poll_shutdown(cx)).await,
            Stream::Tls(tls) => tls.shutdown().await,
        }
    }

    /// The other end. Fails when the connection is already broken: ask once, early.
    pub fn peer(&self) -> io::Result<Endpoint> {
        self.endpoint(true)
    }

    /// Our end.
    pub fn local(&self) -> io::Result<Endpoint> {
        self.endpoint(false)
    }

    /// Who is at the other end; absent unless this is a Unix socket.
    pub fn peer_cred(&self) -> Option<PeerCred> {
        if !self.socket().is_unix() {
            return None;
        }
        let cred = getsockopt(&self.socket().borrow_fd()?, PeerCredentials).ok()?;
        Some(PeerCred {
            uid: cred.uid(),
            pid: cred.pid(),
        })
    }

    /// Protocol and suite as `TLSv1.3/TLS_AES_256_GCM_SHA384`; absent without TLS.
    pub fn tls_info(&self) -> Option<String> {
        match self {
            Stream::Plain(_) => None,
            Stream::Tls(tls) => Some(tls.info()),
        }
    }

    /// Whether the bytes are encrypted.
    #[inline]
    pub fn is_tls(&self) -> bool {
        !matches!(self, Stream::Plain(_))
    }

    /// The socket underneath.
    pub fn socket(&self) -> &Socket {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => &tls.socket,
        }
    }

    fn socket_mut(&mut self) -> &mut Socket {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => &mut tls.socket,
        }
    }

    fn endpoint(&self, of_peer: bool) -> io::Result<Endpoint> {
        let fd = self
            .socket()
            .borrow_fd()
            .ok_or(io::ErrorKind::NotConnected)?;
        let socket = SockRef::from(&fd);
        if !self.socket().is_unix() {
            let address = if of_peer {
                socket.peer_addr()
            } else {
                socket.local_addr()
            };
            return address?
                .as_socket()
                .map(Endpoint::Tcp)
                .ok_or_else(|| io::ErrorKind::Unsupported.into());
        }
        // Of a Unix connection only the listener's end has a name; both ends show its port.
        let port = [socket.local_addr(), socket.peer_addr()]
            .into_iter()
            .flatten()
            .map(|address| unix_port(&address))
            .find(|port| *port != 0);
        let pid = self.peer_cred().map(|cred| cred.pid);
        Ok(Endpoint::Unix {
            pid: pid.filter(|pid| of_peer && *pid > 0),
            port: port.unwrap_or(0),
        })
    }
}

fn unix_port(address: &socket2::SockAddr) -> u16 {
    use std::os::unix::ffi::OsStrExt;
    if let Some(path) = address.as_pathname() {
        return Endpoint::port_in_name(path.as_os_str().as_bytes());
    }
    address
        .as_abstract_namespace()
        .map_or(0, Endpoint::port_in_name)
}

impl From<Socket> for Stream {
    fn from(socket: Socket) -> Self {
        Stream::Plain(socket)
    }
}

impl From<TcpStream> for Stream {
    fn from(socket: TcpStream) -> Self {
        Stream::Plain(Socket::Tcp(socket))
    }
}

impl From<UnixStream> for Stream {
    fn from(socket: UnixStream) -> Self {
        Stream::Plain(Socket::Unix(socket))
    }
}
