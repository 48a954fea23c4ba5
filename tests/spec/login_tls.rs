//! Logging in over TLS: offered, required, refused, direct; certificates (surface 6.1).

use crate::login::{assert_refused, bouncer};
use crate::only_pgweir;
use crate::support::frames::{gssenc_request, ssl_request};
use crate::support::{Authority, Bouncer, client_config};
use std::io::Write as _;

#[test]
fn without_tls_settings_ssl_and_gss_requests_get_n() {
    let bouncer = bouncer("trust").start();
    let mut line = bouncer.login().open().unwrap();
    for request in [gssenc_request(), ssl_request()] {
        line.put(&request);
        let mut answer = [0];
        assert_eq!(line.read_some(&mut answer).unwrap(), 1);
        assert_eq!(answer[0], b'N');
    }
    line.put(&bouncer.login().startup());
    assert!(line.until(b'Z').kinds.ends_with('Z'));
}

#[test]
fn plaintext_sent_ahead_of_the_tls_handshake_is_an_attack() {
    let bouncer = tls_bouncer("allow", &Authority::new("ca")).start();
    for (request, what) in [
        (ssl_request(), "SSL"),
        (gssenc_request(), "GSSAPI encryption"),
    ] {
        let mut line = bouncer.login().open().unwrap();
        line.put(&[request, bouncer.login().startup()].concat());
        let mut answer = Vec::new();
        let mut chunk = [0; 1024];
        while let Ok(n) = line.read_some(&mut chunk) {
            if n == 0 {
                break;
            }
            answer.extend_from_slice(&chunk[..n]);
        }
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            text.contains(&format!("received unencrypted data after {what} request")),
            "{text}"
        );
        assert!(!text.contains("server_version"), "nobody was let in");
    }
}

fn tls_bouncer(mode: &str, authority: &Authority) -> Bouncer {
    let new = bouncer("trust");
    let (cert, key) = authority.sign("localhost");
    let (cert, key) = (new.file("server.crt", &cert), new.file("server.key", &key));
    let ca = new.file("ca.crt", &authority.pem);
    new.set("client_tls_sslmode", mode)
        .set("client_tls_cert_file", cert)
        .set("client_tls_key_file", key)
        .set("client_tls_ca_file", ca)
}

#[test]
fn tls_is_offered_and_the_certificate_verifies() {
    let authority = Authority::new("ca");
    let bouncer = tls_bouncer("allow", &authority).start();
    let config = client_config(Some(&authority.pem), None);
    let mut client = bouncer.login().tls(config).connect();
    assert_eq!(client.one("select repeat('t', 300000)").len(), 300_000);
    assert_eq!(bouncer.client().one("select 'plain too'"), "plain too");
    let clients = bouncer.show("show clients");
    assert!(
        clients
            .table()
            .any(|row| row.get("tls").starts_with("TLSv1.3"))
    );
}

#[test]
fn direct_tls_needs_no_request() {
    let authority = Authority::new("ca");
    let bouncer = tls_bouncer("require", &authority).start();
    let mut client = bouncer
        .login()
        .direct_tls(client_config(Some(&authority.pem), None))
        .connect();
    assert_eq!(client.one("select 1"), "1");
}

#[test]
fn required_tls_refuses_plain_tcp_but_not_the_unix_socket() {
    let bouncer = tls_bouncer("require", &Authority::new("ca")).start();
    assert_refused(&bouncer.login().refused(), "SSL required");
    assert_eq!(
        bouncer
            .login()
            .unix(&bouncer.dir())
            .connect()
            .one("select 1"),
        "1"
    );
    assert_eq!(
        bouncer
            .login()
            .tls(client_config(None, None))
            .connect()
            .one("select 1"),
        "1"
    );
}

#[test]
fn verify_ca_wants_a_certificate_the_authority_signed() {
    let authority = Authority::new("ca");
    let stranger = Authority::new("stranger");
    let bouncer = tls_bouncer("verify-ca", &authority).start();
    let (cert, key) = authority.sign("app");
    let good = client_config(Some(&authority.pem), Some((&cert, &key)));
    assert_eq!(bouncer.login().tls(good).connect().one("select 1"), "1");
    let (cert, key) = stranger.sign("app");
    for identity in [None, Some((cert.as_str(), key.as_str()))] {
        let bad = client_config(Some(&authority.pem), identity);
        assert!(bouncer.login().tls(bad).try_connect().is_err());
    }
}

#[test]
fn certificates_are_read_again_on_reload() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let bouncer = tls_bouncer("require", &old).start();
    let login = |authority: &Authority| {
        bouncer
            .login()
            .tls(client_config(Some(&authority.pem), None))
            .try_connect()
    };
    let mut before = login(&old).expect("the old certificate");
    let (cert, key) = new.sign("localhost");
    bouncer.reload(|ini| {
        ini.file("server.crt", &cert);
        ini.file("server.key", &key);
        ini
    });
    assert!(login(&old).is_err());
    assert!(login(&new).is_ok());
    assert_eq!(before.one("select 1"), "1", "who is in stays in");
}

#[test]
fn tls_without_a_certificate_makes_one_in_memory() {
    // PgBouncer refuses to start; the dairy's Odoo wants sslmode=require.
    only_pgweir!();
    let bouncer = bouncer("trust")
        .set("client_tls_sslmode", "require")
        .start();
    let mut client = bouncer.login().tls(client_config(None, None)).connect();
    assert_eq!(client.one("select 1"), "1");
    crate::assert_soon!(bouncer.logged("WARNING") > 0, "and says so");
}

#[test]
fn garbage_in_place_of_tls_ends_only_that_connection() {
    let bouncer = tls_bouncer("allow", &Authority::new("ca")).start();
    for garbage in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0x16, 3, 1, 0xff, 0xff, 1, 2, 3],
        vec![0; 64],
    ] {
        let mut line = std::net::TcpStream::connect(("127.0.0.1", bouncer.port)).unwrap();
        line.write_all(&garbage).unwrap();
        drop(line);
    }
    assert_eq!(bouncer.client().one("select 1"), "1");
}
