//! HOT. One socket: registered with a lane's reactor, or parked between two lanes.
//!
//! Owns: the file descriptor and its registration. Never: buffers, retries, or a syscall beyond the
//! one that was asked for.
//! Reads go through `poll_read`, which clears readiness after a short read and so saves the receive
//! that would only say EAGAIN.

use std::future::Future;
use std::io;
use std::mem;
use std::net::TcpStream as StdTcp;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream as StdUnix;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A non-blocking socket that no reactor knows.
#[derive(Debug)]
pub enum Parked {
    /// TCP.
    Tcp(StdTcp),
    /// Unix domain.
    Unix(StdUnix),
}

/// One connected socket.
///
/// A parked one can still be read and written; there `Pending` means only that the kernel would
/// block, and nobody will be woken: call [`Socket::attach`] and poll again.
#[derive(Debug)]
pub enum Socket {
    /// TCP, registered with the current lane.
    Tcp(TcpStream),
    /// Unix domain, registered with the current lane.
    Unix(UnixStream),
    /// Between two lanes.
    Parked(Parked),
    /// Left behind by a detach or attach that failed; every operation gives `NotConnected`.
    Gone,
}

/// Calls the same method on whichever socket this is; parked ones go to `$parked`.
macro_rules! each {
    ($self:expr, $socket:ident => $live:expr, $parked:ident => $rest:expr) => {
        match $self {
            Socket::Tcp($socket) => $live,
            Socket::Unix($socket) => $live,
            Socket::Parked($parked) => $rest,
            Socket::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    };
}

impl Socket {
    /// A TCP socket as accepted by a std listener, made non-blocking; [`Socket::attach`] it on its lane.
    pub fn parked_tcp(socket: StdTcp) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Socket::Parked(Parked::Tcp(socket)))
    }

    /// The same for a Unix socket.
    pub fn parked_unix(socket: StdUnix) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Socket::Parked(Parked::Unix(socket)))
    }

    /// Reads once; 0 means the peer has finished.
    #[inline]
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        each!(self, socket => {
            let mut buf = ReadBuf::new(buf);
            ready!(Pin::new(socket).poll_read(cx, &mut buf))?;
            Poll::Ready(Ok(buf.filled().len()))
        }, parked => would_block(parked.read(buf)))
    }

    /// Writes once.
    #[inline]
    pub fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, socket => Pin::new(socket).poll_write(cx, buf),
              parked => would_block(parked.write(buf)))
    }

    /// Writes several slices with one call.
    #[inline]
    pub fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, socket => Pin::new(socket).poll_write_vectored(cx, bufs),
              parked => would_block(parked.write_vectored(bufs)))
    }

    /// Waits until a read would find bytes, EOF or an error. May be wrong when readiness is stale.
    #[inline]
    pub fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, socket => socket.poll_read_ready(cx),
              parked => would_block(peek(parked.as_fd()).map(drop)))
    }

    /// False when bytes, EOF or an error wait. No syscall unless the reactor says readable; the
    /// waker of a pending read stays where it is.
    ///
    /// Not by polling: a task that has used up its budget would be told `Pending` whatever waits.
    pub fn is_quiet(&self) -> bool {
        // try_io clears a readiness that turns out to be stale.
        let peeked = match self {
            Socket::Tcp(socket) => socket.try_io(Interest::READABLE, || peek(socket.as_fd())),
            Socket::Unix(socket) => socket.try_io(Interest::READABLE, || peek(socket.as_fd())),
            Socket::Parked(parked) => peek(parked.as_fd()),
            Socket::Gone => return false,
        };
        matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// As [`Socket::is_quiet`], but asks the kernel whatever the reactor says: for a socket that
    /// has just moved lanes, whose readiness is not known yet.
    pub fn peek_is_quiet(&self) -> bool {
        let Some(fd) = self.borrow_fd() else {
            return false;
        };
        matches!(peek(fd), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether the peer has finished or is gone, though bytes of it may wait. No syscall: what the
    /// reactor has heard. False for a parked one.
    pub fn is_hung_up(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let ready = match self {
            Socket::Tcp(socket) => pin!(socket.ready(Interest::READABLE)).poll(&mut cx),
            Socket::Unix(socket) => pin!(socket.ready(Interest::READABLE)).poll(&mut cx),
            Socket::Parked(_) | Socket::Gone => return false,
        };
        matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed())
    }

    /// Takes the socket off its reactor. Callable from any thread. A parked one stays as it is.
    pub fn detach(&mut self) -> io::Result<()> {
        let parked = match mem::replace(self, Socket::Gone) {
            Socket::Tcp(socket) => Parked::Tcp(socket.into_std()?),
            Socket::Unix(socket) => Parked::Unix(socket.into_std()?),
            Socket::Parked(parked) => parked,
            Socket::Gone => return Err(io::ErrorKind::NotConnected.into()),
        };
        *self = Socket::Parked(parked);
        Ok(())
    }

    /// Registers the socket with the current runtime. An attached one stays as it is.
    pub fn attach(&mut self) -> io::Result<()> {
        if let Socket::Parked(_) = self {
            *self = match mem::replace(self, Socket::Gone) {
                Socket::Parked(Parked::Tcp(socket)) => Socket::Tcp(TcpStream::from_std(socket)?),
                Socket::Parked(Parked::Unix(socket)) => Socket::Unix(UnixStream::from_std(socket)?),
                other => other,
            };
        }
        match self {
            Socket::Gone => Err(io::ErrorKind::NotConnected.into()),
            _ => Ok(()),
        }
    }

    /// Whether this is a Unix socket.
    pub fn is_unix(&self) -> bool {
        matches!(self, Socket::Unix(_) | Socket::Parked(Parked::Unix(_)))
    }

    /// The file descriptor, absent when the socket is gone.
    pub fn borrow_fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Socket::Tcp(socket) => Some(socket.as_fd()),
            Socket::Unix(socket) => Some(socket.as_fd()),
            Socket::Parked(parked) => Some(parked.as_fd()),
            Socket::Gone => None,
        }
    }

    /// The descriptor's number for SHOW FDS and log lines; -1 when the socket is gone.
    pub fn raw_fd(&self) -> RawFd {
        self.borrow_fd().map_or(-1, |fd| fd.as_raw_fd())
    }
}

impl Parked {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Parked::Tcp(socket) => io::Read::read(socket, buf),
            Parked::Unix(socket) => io::Read::read(socket, buf),
        }
    }

    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Parked::Tcp(socket) => io::Write::write(socket, buf),
            Parked::Unix(socket) => io::Write::write(socket, buf),
        }
    }

    fn write_vectored(&mut self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Parked::Tcp(socket) => io::Write::write_vectored(socket, bufs),
            Parked::Unix(socket) => io::Write::write_vectored(socket, bufs),
        }
    }
}

impl AsFd for Parked {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Parked::Tcp(socket) => socket.as_fd(),
            Parked::Unix(socket) => socket.as_fd(),
        }
    }
}

/// One byte of what waits, without taking it; the socket is non-blocking.
fn peek(fd: BorrowedFd<'_>) -> io::Result<usize> {
    let mut byte = [std::mem::MaybeUninit::uninit()];
    SockRef::from(&fd).peek(&mut byte)
}

fn would_block<T>(result: io::Result<T>) -> Poll<io::Result<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Poll::Pending,
        other => Poll::Ready(other),
    }
}

impl AsyncRead for Socket {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self.get_mut(), socket => Pin::new(socket).poll_read(cx, buf), parked => {
            let count = ready!(would_block(parked.read(buf.initialize_unfilled())))?;
            buf.advance(count);
            Poll::Ready(Ok(()))
        })
    }
}

impl AsyncWrite for Socket {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Socket::poll_write(self.get_mut(), cx, buf)
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Socket::poll_write_vectored(self.get_mut(), cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), socket => Pin::new(socket).poll_shutdown(cx), parked => Poll::Ready(match parked {
            Parked::Tcp(socket) => socket.shutdown(std::net::Shutdown::Write),
            Parked::Unix(socket) => socket.shutdown(std::net::Shutdown::Write),
        }))
    }
}
