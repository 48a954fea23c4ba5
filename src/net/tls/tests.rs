//! Tests of `net::tls`: certificates are made anew each time, loopback only.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::future::poll_fn;
use std::path::Path;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::*;
use crate::net::Stream;
use crate::net::tests::{read_exactly, tcp_pair};

fn client_side(mode: SslMode) -> TlsSettings {
    TlsSettings {
        mode,
        ..TlsSettings::default()
    }
}

/// A CA and a certificate for `localhost`; the files are ca.pem, cert.pem, key.pem.
fn make_files(directory: &Path, names: &[&str], common_name: &str) {
    let write = |name: &str, text: String| std::fs::write(directory.join(name), text).unwrap();
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "test ca");
    write("ca.pem", ca.self_signed(&ca_key).unwrap().pem());
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut leaf = CertificateParams::new(names).unwrap();
    leaf.distinguished_name
        .push(DnType::CommonName, common_name);
    write("cert.pem", leaf.signed_by(&key, &issuer).unwrap().pem());
    write("key.pem", key.serialize_pem());
}

fn settings(directory: &Path, mode: SslMode, with_ca: bool, with_pair: bool) -> TlsSettings {
    let file = |name: &str, wanted: bool| {
        let path = directory.join(name).to_str().unwrap().to_owned();
        if wanted { path } else { String::new() }
    };
    TlsSettings {
        mode,
        ca_file: file("ca.pem", with_ca),
        cert_file: file("cert.pem", with_pair),
        key_file: file("key.pem", with_pair),
        ..TlsSettings::default()
    }
}

/// Both ends of a handshake: (what PostgreSQL's side sees, what ours sees).
async fn shake(
    answering: &TlsSettings,
    asking: &TlsSettings,
    host: &str,
) -> (std::io::Result<Stream>, std::io::Result<Stream>) {
    let (near, far) = tcp_pair().await;
    let answering = ClientTls::build(answering).unwrap();
    let asking = ServerTls::build(asking).unwrap();
    tokio::join!(answering.accept(far), asking.connect(near, host))
}

async fn self_signed_pair() -> (Stream, Stream) {
    let require = client_side(SslMode::Require);
    let (far, near) = shake(&require, &require, "localhost").await;
    (far.unwrap(), near.unwrap())
}

#[tokio::test]
async fn self_signed_handshake_and_bytes_both_ways() {
    let (mut far, mut near) = self_signed_pair().await;
    assert!(near.is_quiet() && far.is_quiet());
    assert!(near.tls_info().unwrap().starts_with("TLSv1.3/TLS_"));
    let text = vec![7u8; 300_000];
    let (sent, got) = tokio::join!(near.write_all(&text), read_exactly(&mut far, text.len()));
    sent.unwrap();
    assert!(got == text);
    far.write_all(b"answer").await.unwrap();
    poll_fn(|cx| near.poll_read_ready(cx)).await.unwrap();
    assert!(!near.is_quiet() && !near.peek_is_quiet());
    // A read smaller than the record leaves the rest held.
    assert_eq!(read_exactly(&mut near, 2).await, b"an");
    assert!(!near.is_quiet());
    poll_fn(|cx| near.poll_read_ready(cx)).await.unwrap();
    assert_eq!(read_exactly(&mut near, 4).await, b"swer");
    assert!(near.is_quiet() && near.peek_is_quiet());
    far.shutdown().await.unwrap();
    assert_eq!(near.read_some(&mut [0; 9]).await.unwrap(), 0);
    assert!(!near.is_quiet());
}

#[tokio::test]
async fn waiting_bytes_show_to_a_task_without_budget() {
    use tokio::task::coop;
    for (mut far, mut near) in [tcp_pair().await, self_signed_pair().await] {
        far.write_all(b"x").await.unwrap();
        poll_fn(|cx| near.poll_read_ready(cx)).await.unwrap();
        far.write_all(b"y").await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        assert!(poll_fn(|cx| near.poll_read(cx, &mut [0; 1])).await.is_ok());
        poll_fn(|cx| {
            while coop::has_budget_remaining() {
                let _ = std::pin::pin!(coop::consume_budget()).poll(cx);
            }
            assert!(!near.is_quiet() && !near.peek_is_quiet());
            std::task::Poll::Ready(())
        })
        .await;
    }
}

#[tokio::test]
async fn tls12_works_and_prints_openssl_names() {
    let mut old = client_side(SslMode::Prefer);
    old.allows_tls13 = false;
    let (far, near) = shake(&old, &client_side(SslMode::Prefer), "localhost").await;
    let (mut far, mut near) = (far.unwrap(), near.unwrap());
    let info = near.tls_info().unwrap();
    assert!(info.starts_with("TLSv1.2/ECDHE-ECDSA-AES"), "{info}");
    far.write_all(b"x").await.unwrap();
    assert_eq!(read_exactly(&mut near, 1).await, b"x");
    drop(far);
    assert_eq!(near.read_some(&mut [0; 9]).await.unwrap(), 0);
}

#[tokio::test]
async fn verify_full_checks_chain_and_name() {
    let (good, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make_files(good.path(), &["localhost"], "db");
    make_files(other.path(), &["localhost"], "db");
    let answering = settings(good.path(), SslMode::Require, false, true);
    let case = async |from: &Path, mode: SslMode, host: &str| {
        let asking = settings(from, mode, true, false);
        shake(&answering, &asking, host).await.1.is_ok()
    };
    assert!(case(good.path(), SslMode::VerifyFull, "localhost").await);
    assert!(!case(good.path(), SslMode::VerifyFull, "127.0.0.1").await);
    assert!(!case(good.path(), SslMode::VerifyFull, "db").await);
    assert!(case(good.path(), SslMode::VerifyCa, "elsewhere").await);
    assert!(!case(other.path(), SslMode::VerifyCa, "localhost").await);
    assert!(case(other.path(), SslMode::Require, "localhost").await);
}

#[tokio::test]
async fn common_name_counts_without_alternative_names() {
    let directory = tempfile::tempdir().unwrap();
    make_files(directory.path(), &[], "*.example.org");
    let answering = settings(directory.path(), SslMode::Require, false, true);
    let asking = settings(directory.path(), SslMode::VerifyFull, true, false);
    assert!(shake(&answering, &asking, "db.example.org").await.1.is_ok());
    assert!(
        shake(&answering, &asking, "db.example.com")
            .await
            .1
            .is_err()
    );
}

#[tokio::test]
async fn certificate_that_is_its_own_ca_file_is_trusted() {
    let directory = tempfile::tempdir().unwrap();
    make_files(directory.path(), &["localhost"], "db");
    let key = KeyPair::generate().unwrap();
    let mut own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = own.self_signed(&key).unwrap().pem();
    for (name, text) in [
        ("ca.pem", pem.clone()),
        ("cert.pem", pem),
        ("key.pem", key.serialize_pem()),
    ] {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let answering = settings(directory.path(), SslMode::Require, false, true);
    let asking = settings(directory.path(), SslMode::VerifyFull, true, false);
    assert!(shake(&answering, &asking, "localhost").await.1.is_ok());
}

#[tokio::test]
async fn client_certificate_is_mandatory_for_verify_ca() {
    let (good, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    make_files(good.path(), &["localhost"], "app");
    make_files(other.path(), &["localhost"], "app");
    let case = async |mode: SslMode, from: Option<&Path>| {
        let answering = settings(good.path(), mode, true, true);
        let asking = match from {
            Some(from) => settings(from, SslMode::Require, false, true),
            None => client_side(SslMode::Require),
        };
        shake(&answering, &asking, "localhost").await.0.is_ok()
    };
    assert!(case(SslMode::VerifyCa, Some(good.path())).await);
    assert!(!case(SslMode::VerifyCa, Some(other.path())).await);
    assert!(!case(SslMode::VerifyFull, None).await);
    assert!(case(SslMode::Prefer, None).await);
    assert!(!case(SslMode::Prefer, Some(other.path())).await);
}

#[tokio::test]
async fn direct_tls_takes_the_bytes_already_read() {
    let (near, mut far) = tcp_pair().await;
    let require = client_side(SslMode::Require);
    let answering = ClientTls::build(&require).unwrap();
    let asking = ServerTls::build(&require).unwrap();
    let accept = async {
        let mut head = [0; 5];
        let count = far.read_some(&mut head).await.unwrap();
        answering.accept_direct(far, &head[..count]).await
    };
    let (far, near) = tokio::join!(accept, asking.connect(near, "localhost"));
    let (mut far, mut near) = (far.unwrap(), near.unwrap());
    near.write_all(b"startup").await.unwrap();
    assert_eq!(read_exactly(&mut far, 7).await, b"startup");
}

#[tokio::test]
async fn garbage_instead_of_a_handshake_is_an_error() {
    let (mut near, far) = tcp_pair().await;
    let answering = ClientTls::build(&client_side(SslMode::Require)).unwrap();
    near.write_all(b"\0\0\0\x08\x04\xd2\x16\x2f and more plain text")
        .await
        .unwrap();
    let error = answering.accept(far).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
}

#[test]
fn settings_that_cannot_be_are_errors() {
    let mut old = client_side(SslMode::Require);
    (old.allows_tls12, old.allows_tls13) = (false, false);
    assert!(matches!(ClientTls::build(&old), Err(TlsError::OldProtocol)));
    old.allows_tls12 = true;
    assert!(ServerTls::build(&old).is_ok());
    for (ciphers, is_fine) in [
        ("ECDHE-RSA-AES128-SHA", false),
        ("HIGH:!aNULL", false),
        ("secure", true),
        (
            "ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES128-GCM-SHA256",
            true,
        ),
    ] {
        old.ciphers = ciphers.to_owned();
        assert_eq!(ServerTls::build(&old).is_ok(), is_fine, "{ciphers}");
    }
    let mut half = client_side(SslMode::Require);
    half.key_file = "/nonexistent/key".to_owned();
    assert!(matches!(ClientTls::build(&half), Err(TlsError::HalfPair)));
    half.cert_file = "/nonexistent/cert".to_owned();
    assert!(matches!(
        ClientTls::build(&half),
        Err(TlsError::File { .. })
    ));
}

#[test]
fn fingerprint_changes_with_the_files() {
    let directory = tempfile::tempdir().unwrap();
    make_files(directory.path(), &["localhost"], "db");
    let wanted = settings(directory.path(), SslMode::VerifyCa, true, false);
    let before = ServerTls::build(&wanted).unwrap();
    assert!(before == ServerTls::build(&wanted).unwrap());
    make_files(directory.path(), &["localhost"], "db");
    assert!(before != ServerTls::build(&wanted).unwrap());
    assert!(ServerTls::disabled() == ServerTls::disabled());
}

fn lane<T: Send + 'static>(work: impl FnOnce(&tokio::runtime::Runtime) -> T + Send + 'static) -> T {
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        work(&runtime)
    };
    thread::spawn(run).join().unwrap()
}

/// One end hops between two reactors after every chunk while the other keeps sending.
fn hop(mut moving: Stream, mut fixed: Stream) {
    const CHUNKS: usize = 400;
    const CHUNK: usize = 3_001;
    fixed.detach().unwrap();
    moving.detach().unwrap();
    let feeder = thread::spawn(move || {
        lane(move |runtime| {
            runtime.block_on(async {
                fixed.attach().unwrap();
                for at in 0..CHUNKS {
                    fixed.write_all(&[at as u8; CHUNK]).await.unwrap();
                    if at % 7 == 0 {
                        // The answer to a request written while the other end was parked.
                        assert_eq!(read_exactly(&mut fixed, 4).await, (at as u32).to_be_bytes());
                    }
                }
            });
        });
    });
    let (first, second) = std::sync::mpsc::channel::<(Stream, usize)>();
    let (back, forth) = std::sync::mpsc::channel::<(Stream, usize)>();
    let worker = |inbox: std::sync::mpsc::Receiver<(Stream, usize)>,
                  next: std::sync::mpsc::Sender<(Stream, usize)>| {
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            for (mut stream, at) in inbox {
                if at == CHUNKS {
                    break;
                }
                runtime.block_on(async {
                    if at % 7 == 0 {
                        stream.write_all(&(at as u32).to_be_bytes()).await.unwrap();
                    }
                    stream.attach().unwrap();
                    assert!(read_exactly(&mut stream, CHUNK).await == vec![at as u8; CHUNK]);
                    stream.detach().unwrap();
                });
                if next.send((stream, at + 1)).is_err() {
                    break;
                }
            }
        })
    };
    first.send((moving, 0)).unwrap();
    let (left, right) = (worker(second, back), worker(forth, first));
    feeder.join().unwrap();
    left.join().unwrap();
    right.join().unwrap();
}

#[test]
fn plain_stream_hops_between_lanes_with_data_in_flight() {
    let (near, far) = lane(|runtime| {
        runtime.block_on(async {
            let (mut near, mut far) = tcp_pair().await;
            near.detach().unwrap();
            far.detach().unwrap();
            (near, far)
        })
    });
    hop(near, far);
}

#[test]
fn tls_stream_hops_between_lanes_with_data_in_flight() {
    let (near, far) = lane(|runtime| {
        runtime.block_on(async {
            let (mut far, mut near) = self_signed_pair().await;
            near.detach().unwrap();
            far.detach().unwrap();
            (near, far)
        })
    });
    hop(near, far);
}
