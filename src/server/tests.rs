//! Tests of `server`: fake servers that misbehave; a real one is `tests/`' business.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use super::error::PasswordHint;
use super::*;
use crate::auth::SecretKind;
use crate::auth::scram::{CapturedKeys, KeyCache, ScramSecret, ServerExchange, derive_keys};
use crate::config::SslMode;
use crate::net::dns::{DnsTimes, Resolver};
use crate::net::tls::{ClientTls, ServerTls, TlsSettings};
use crate::net::{Endpoint, SocketOptions, Stream};
use crate::wire::backend::Status;
use crate::wire::{frame, welcome};

fn target(port: u16, secret: ServerSecret, mode: SslMode) -> Target {
    let tls = TlsSettings {
        mode,
        ..TlsSettings::default()
    };
    Target {
        host: Host::parse("127.0.0.1", port),
        database: "postgres".to_owned(),
        user: "odoo".to_owned(),
        secret,
        startup: vec![("application_name".to_owned(), "app".to_owned())],
        dialing: Dialing {
            tls: Arc::new(ServerTls::build(&tls).unwrap()),
            options: SocketOptions::default(),
            dns: DnsTimes {
                found: Duration::from_secs(15),
                failed: Duration::from_secs(15),
            },
            resolver: Arc::new(Resolver::default()),
            keys: Arc::new(KeyCache::open().unwrap()),
        },
    }
}

fn plain() -> ServerSecret {
    ServerSecret::Plain(Arc::from("pencil"))
}

/// Opens against a fake server, which ends with the login.
async fn against<F: Future<Output = ()>>(
    secret: ServerSecret,
    mode: SslMode,
    fake: impl FnOnce(Stream) -> F,
) -> Result<Fresh, OpenError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let target = target(port, secret, mode);
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        fake(Stream::from(stream)).await;
        std::future::pending().await
    };
    tokio::select! {
        result = open(&target) => result,
        () = serve => unreachable!(),
    }
}

/// Reads the startup packet, sends `script`, and waits for the other side to close.
async fn scripted(mut stream: Stream, script: Vec<u8>) {
    let mut packet = [0; 512];
    stream.read_some(&mut packet).await.unwrap();
    let _ = stream.write_all(&script).await;
    let _ = stream.shutdown().await;
    while matches!(stream.read_some(&mut packet).await, Ok(1..)) {}
}

async fn reply(script: Vec<u8>) -> Result<Fresh, OpenError> {
    against(plain(), SslMode::Disable, |stream| scripted(stream, script)).await
}

fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::put(&mut out, tag, body);
    out
}

fn ok_and(more: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    welcome::authentication_ok(&mut out);
    out.extend(more.concat());
    out
}

fn good_end() -> Vec<u8> {
    let mut out = Vec::new();
    welcome::parameter_status(&mut out, b"server_version", b"16.4");
    welcome::parameter_status(&mut out, b"TimeZone", b"UTC");
    welcome::backend_key_data(&mut out, 0x0000_1234_dead_beef);
    welcome::ready_for_query(&mut out, Status::Idle);
    out
}

#[tokio::test]
async fn login_gives_parameters_and_key_in_order() {
    let fresh = reply(ok_and(&[&good_end()])).await.unwrap();
    assert_eq!(fresh.backend_pid, 0x1234);
    assert_eq!(fresh.cancel_key, [0, 0, 0x12, 0x34, 0xde, 0xad, 0xbe, 0xef]);
    let names: Vec<_> = fresh
        .parameters
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["server_version", "TimeZone"]);
    assert!(matches!(fresh.remote, Endpoint::Tcp(_)));
    assert!(fresh.tls.is_none());
}

#[tokio::test]
async fn malformed_login_frames_are_errors() {
    let ready = frame(b'Z', b"I");
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("length under four", b"R\0\0\0\x03".to_vec()),
        ("length over 64 kB", b"R\0\x02\0\0".to_vec()),
        ("short authentication", frame(b'R', b"\0\0")),
        ("unknown method", frame(b'R', &7u32.to_be_bytes())),
        ("md5 salt too short", frame(b'R', b"\0\0\0\x05abc")),
        ("sasl without mechanisms", frame(b'R', b"\0\0\0\x0a\0")),
        ("sasl continued first", frame(b'R', b"\0\0\0\x0br=x")),
        ("sasl ended first", frame(b'R', b"\0\0\0\x0cv=x")),
        ("ready first", ready.clone()),
        ("parameter first", frame(b'S', b"a\0b\0")),
        ("ok twice", ok_and(&[&ok_and(&[])])),
        ("row", ok_and(&[&frame(b'D', b"\0\0")])),
        ("parameter without value", ok_and(&[&frame(b'S', b"a\0")])),
        ("parameter without end", ok_and(&[&frame(b'S', b"ab")])),
        (
            "key too short",
            ok_and(&[&frame(b'K', b"\0\0\0\x01\0\0\0")]),
        ),
        ("key too long", ok_and(&[&frame(b'K', &[1; 4 + 257])])),
        ("ready in transaction", ok_and(&[&frame(b'Z', b"T")])),
        ("ready without status", ok_and(&[&frame(b'Z', b"")])),
        ("bytes behind ready", ok_and(&[&ready, b"N"])),
        ("negotiated version 4", frame(b'v', b"\0\x04\0\0\0\0\0\0")),
    ];
    for (name, script) in cases {
        match reply(script).await {
            Err(OpenError::Protocol(_)) => {}
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn truncated_and_endless_logins_end() {
    let whole = ok_and(&[&good_end()]);
    for cut in 0..whole.len() {
        let result = reply(whole[..cut].to_vec()).await;
        assert!(matches!(result, Err(OpenError::Closed(_))), "{cut}");
    }
    let notice = frame(
        b'N',
        &[b"SNOTICE\0C00000\0M".as_slice(), &[b'x'; 60_000], b"\0\0"].concat(),
    );
    let result = reply(notice.repeat(20)).await;
    assert!(matches!(result, Err(OpenError::Protocol(_))), "{result:?}");
}

#[tokio::test]
async fn damaged_logins_do_not_panic() {
    let whole = ok_and(&[&good_end()]);
    for at in 0..whole.len() {
        for bit in [0x01, 0x20, 0x80, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] ^= bit;
            // A damaged text may pass for another text; a damaged frame must end the login.
            if let Ok(fresh) = reply(damaged).await {
                assert!(fresh.parameters.len() <= 2 && fresh.cancel_key.len() <= 260);
            }
        }
    }
}

#[tokio::test]
async fn refusals_carry_code_and_text() {
    let error = |code: &str| {
        frame(
            b'E',
            format!("SFATAL\0VFATAL\0C{code}\0Mtoo bad\0\0").as_bytes(),
        )
    };
    let refused = reply(error("3D000")).await.unwrap_err();
    assert_eq!(refused.to_string(), "FATAL too bad");
    assert_eq!(refused.close_reason(), "login failed");
    assert!(!refused.is_unreachable());
    assert!(reply(error("57P03")).await.unwrap_err().is_unreachable());
    assert!(reply(Vec::new()).await.unwrap_err().is_unreachable());
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let nobody = open(&target(closed, plain(), SslMode::Disable)).await;
    assert_eq!(nobody.unwrap_err().close_reason(), "connect failed");
}

#[tokio::test]
async fn a_secret_of_the_wrong_type_says_what_to_do() {
    let md5 = ServerSecret::Md5([b'0'; 32]);
    let sasl = || {
        let mut out = Vec::new();
        welcome::authentication_sasl(&mut out, "SCRAM-SHA-256");
        out
    };
    let cases = [
        (md5.clone(), sasl(), PasswordHint::Md5ForScram),
        (md5, frame(b'R', b"\0\0\0\x03"), PasswordHint::HashForClear),
        (
            ServerSecret::ScramSecret,
            frame(b'R', b"\0\0\0\x05salt"),
            PasswordHint::ScramForMd5,
        ),
        (ServerSecret::ScramSecret, sasl(), PasswordHint::NoKeys),
        (ServerSecret::None, sasl(), PasswordHint::NoPassword),
    ];
    for (secret, script, hint) in cases {
        let result = against(secret, SslMode::Disable, |stream| scripted(stream, script)).await;
        match result {
            Err(error @ OpenError::WrongPasswordType(_)) => {
                assert!(error.to_string().contains("userlist.txt"));
                assert!(error.to_string().contains(&hint.to_string()));
            }
            other => panic!("{hint}: {other:?}"),
        }
    }
}

/// Body of the next frame that the login sent.
async fn sent(stream: &mut Stream) -> Vec<u8> {
    let mut bytes = vec![0; 2048];
    let count = stream.read_some(&mut bytes).await.unwrap();
    bytes[5..count].to_vec()
}

/// A server's half of SCRAM; without `proof` it skips its own proof.
async fn scram_server(mut stream: Stream, gives_proof: bool) {
    let keys = derive_keys(b"pencil", b"0123456789abcdef", 4096);
    let secret = Arc::new(ScramSecret::from_keys(&keys, b"0123456789abcdef", 4096));
    stream.read_some(&mut [0; 512]).await.unwrap();
    let mut out = Vec::new();
    welcome::authentication_sasl(&mut out, "SCRAM-SHA-256");
    stream.write_all(&out).await.unwrap();
    let first = sent(&mut stream).await;
    let first = &first["SCRAM-SHA-256".len() + 5..];
    let (exchange, challenge) = ServerExchange::start(first, secret, false).unwrap();
    out.clear();
    welcome::authentication_sasl_continue(&mut out, &challenge);
    stream.write_all(&out).await.unwrap();
    let Ok(done) = exchange.finish(&sent(&mut stream).await) else {
        return;
    };
    out.clear();
    if gives_proof {
        welcome::authentication_sasl_final(&mut out, &done.message);
    }
    welcome::authentication_ok(&mut out);
    out.extend(good_end());
    stream.write_all(&out).await.unwrap();
    let _ = stream.read_some(&mut [0; 64]).await;
}

#[tokio::test]
async fn scram_with_password_and_with_captured_keys() {
    let off = SslMode::Disable;
    assert!(
        against(plain(), off, |s| scram_server(s, true))
            .await
            .is_ok()
    );
    let captured = |iterations| {
        let stored = SecretKind::parse("x");
        let keys = CapturedKeys {
            keys: derive_keys(b"pencil", b"0123456789abcdef", 4096),
            salt: Box::from(&b"0123456789abcdef"[..]),
            iterations,
        };
        assert!(matches!(
            ServerSecret::from_stored(&stored, Some(keys.clone())),
            ServerSecret::Plain(_)
        ));
        ServerSecret::from_stored(&SecretKind::Empty, Some(keys))
    };
    let fresh = against(captured(4096), off, |s| scram_server(s, true)).await;
    assert!(fresh.is_ok());
    let foreign = against(captured(5000), off, |s| scram_server(s, true)).await;
    let error = foreign.unwrap_err();
    assert!(error.to_string().contains("differs from the server's"));
    assert!(error.for_clients().is_some());
}

#[tokio::test]
async fn a_server_that_skips_its_proof_is_refused() {
    let result = against(plain(), SslMode::Disable, |s| scram_server(s, false)).await;
    assert!(matches!(result, Err(OpenError::Scram(_))), "{result:?}");
}

#[tokio::test]
async fn answers_to_ssl_request() {
    let early = [b"S".as_slice(), &ok_and(&[&good_end()])].concat();
    let cases: [(SslMode, Vec<u8>, &str); 5] = [
        (SslMode::Require, b"N".to_vec(), "server refused SSL"),
        (SslMode::Prefer, early, "bad packet"),
        (SslMode::Prefer, b"N and more".to_vec(), "bad packet"),
        (
            SslMode::Prefer,
            b"Esorry, too many clients already\n\0".to_vec(),
            "server answered SSLRequest with an error",
        ),
        (SslMode::Prefer, b"?".to_vec(), "bad packet"),
    ];
    for (mode, answer, reason) in cases {
        let result = against(plain(), mode, |stream| scripted(stream, answer)).await;
        assert_eq!(result.unwrap_err().close_reason(), reason);
    }
    let falls_back = async |mut stream: Stream| {
        stream.read_some(&mut [0; 8]).await.unwrap();
        stream.write_all(b"N").await.unwrap();
        scripted(stream, ok_and(&[&good_end()])).await;
    };
    assert!(against(plain(), SslMode::Prefer, falls_back).await.is_ok());
}

#[tokio::test]
async fn login_through_tls() {
    let settings = TlsSettings {
        mode: SslMode::Require,
        ..TlsSettings::default()
    };
    let tls = ClientTls::build(&settings).unwrap();
    let serve = async |mut stream: Stream| {
        stream.read_some(&mut [0; 8]).await.unwrap();
        stream.write_all(b"S").await.unwrap();
        let stream = tls.accept(stream).await.unwrap();
        scripted(stream, ok_and(&[&good_end()])).await;
    };
    let fresh = against(plain(), SslMode::Require, serve).await.unwrap();
    assert!(fresh.tls.unwrap().starts_with("TLSv1.3/"));
}

#[tokio::test]
async fn cancel_request_waits_for_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::Tcp(listener.local_addr().unwrap());
    let serve = async {
        let mut stream = Stream::from(listener.accept().await.unwrap().0);
        let mut packet = [0; 64];
        let count = stream.read_some(&mut packet).await.unwrap();
        assert_eq!(
            packet[..count],
            [0, 0, 0, 16, 4, 210, 22, 46, 0, 0, 0, 1, 9, 9, 9, 9]
        );
    };
    let key = [0, 0, 0, 1, 9, 9, 9, 9];
    let options = SocketOptions::default();
    let (sent, ()) = tokio::join!(send_cancel(&address, &key, &options, || true), serve);
    sent.unwrap();
}
