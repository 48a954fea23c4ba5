//! Tests of `net`: loopback only, every port ephemeral.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};

use super::*;

pub(super) async fn tcp_pair() -> (Stream, Stream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (near, far) = (near.unwrap(), far.unwrap().0);
    SocketOptions::default().apply_tcp(&near);
    SocketOptions::default().apply_tcp(&far);
    (near.into(), far.into())
}

pub(super) async fn read_exactly(stream: &mut Stream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    let mut at = 0;
    while at < count {
        let read = stream.read_some(&mut bytes[at..]).await.unwrap();
        assert_ne!(read, 0, "unexpected eof");
        at += read;
    }
    bytes
}

#[test]
fn plain_path_is_small() {
    assert!(size_of::<Socket>() <= 40, "{}", size_of::<Socket>());
    assert!(size_of::<Stream>() <= 40, "{}", size_of::<Stream>());
}

#[tokio::test]
async fn quiet_until_bytes_or_eof_wait() {
    let (mut near, mut far) = tcp_pair().await;
    assert!(near.is_quiet());
    assert!(near.peek_is_quiet());
    far.write_all(b"x").await.unwrap();
    std::future::poll_fn(|cx| near.poll_read_ready(cx))
        .await
        .unwrap();
    assert!(!near.is_quiet());
    assert!(!near.peek_is_quiet());
    assert_eq!(read_exactly(&mut near, 1).await, b"x");
    assert!(near.is_quiet());
    drop(far);
    std::future::poll_fn(|cx| near.poll_read_ready(cx))
        .await
        .unwrap();
    assert!(!near.is_quiet());
    assert_eq!(near.read_some(&mut [0; 8]).await.unwrap(), 0);
}

#[tokio::test]
async fn parked_stream_reads_and_writes_directly() {
    let (mut near, mut far) = tcp_pair().await;
    near.detach().unwrap();
    assert!(near.is_quiet());
    near.write_all(b"ping").await.unwrap();
    assert_eq!(read_exactly(&mut far, 4).await, b"ping");
    far.write_all(b"pong").await.unwrap();
    near.attach().unwrap();
    assert_eq!(read_exactly(&mut near, 4).await, b"pong");
}

#[tokio::test]
async fn endpoints_print_as_pgbouncer_does() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(".s.PGSQL.6432");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let (near, far) = tokio::join!(tokio::net::UnixStream::connect(&path), listener.accept());
    let (near, far) = (Stream::from(near.unwrap()), Stream::from(far.unwrap().0));
    let pid = std::process::id();
    assert_eq!(far.peer().unwrap().to_string(), format!("unix({pid}):6432"));
    assert_eq!(near.peer().unwrap().port(), 6432);
    assert_eq!(far.peer_cred().unwrap().uid, nix::unistd::getuid().as_raw());
    let v6 = Endpoint::Tcp("[::1]:5432".parse().unwrap());
    assert_eq!(v6.to_string(), "[::1]:5432");
    assert_eq!(v6.host(), "::1");
    assert_eq!(Endpoint::UNIX.to_string(), "unix:0");
}
