//! Everything a client can do wrong before it is in, by name.

use super::support::{GSS_REQUEST, Peer, SSL_REQUEST, Setup, startup_packet};
use super::*;
use crate::wire::startup::MAX_PACKET;

const V3: u32 = 3 << 16;

#[tokio::test]
async fn malformed_first_packets() {
    let with = |head: &[u8], tail: &[u8]| [head, tail].concat();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "http",
            b"GET / HTTP/1.1".to_vec(),
            "bad packet header: '474554202f204854'",
        ),
        (
            "a query",
            b"Q\0\0\0\x04".to_vec(),
            "bad packet header: '5100000004'",
        ),
        (
            "direct TLS without TLS",
            b"\x16\x03\x01".to_vec(),
            "bad packet header: '160301'",
        ),
        (
            "too long",
            b"\0\x01\0\0\0\x03\0\0".to_vec(),
            "bad packet header: '0001000000030000'",
        ),
        (
            "unknown code",
            b"\0\0\0\x08\0\x07\0\0".to_vec(),
            "bad packet header: '0000000800070000'",
        ),
        (
            "protocol 2",
            b"\0\0\0\x09\0\x02\0\0\0".to_vec(),
            "old V2 protocol not supported",
        ),
        (
            "no terminator",
            b"\0\0\0\x0d\0\x03\0\0user\0".to_vec(),
            "invalid startup packet layout: expected terminator as last byte",
        ),
        (
            "no user",
            startup_packet(V3, &[("database", "x")]),
            "no username supplied",
        ),
        (
            "unknown parameter",
            startup_packet(V3, &[("user", "plain"), ("foo", "off")]),
            "unsupported startup parameter: foo",
        ),
        (
            "a setting, and a database in session mode",
            startup_packet(
                V3,
                &[("user", "plain"), ("database", "forced"), ("geqo", "off")],
            ),
            "unsupported startup parameter: geqo",
        ),
        (
            "replication",
            startup_packet(V3, &[("user", "plain"), ("replication", "database")]),
            "replication connections are not supported",
        ),
        (
            "early data, SSL",
            with(SSL_REQUEST, b"\x16"),
            "received unencrypted data after SSL request",
        ),
        (
            "early data, GSS",
            with(GSS_REQUEST, b"x"),
            "received unencrypted data after GSSAPI encryption request",
        ),
    ];
    let setup = Setup::with("auth_type = trust");
    for (name, bytes, want) in cases {
        let mut peer = Peer::connect(&setup).await;
        peer.send(&bytes).await;
        let error = peer.refused_with().await;
        assert_eq!(error, want, "{name}");
    }
    assert_eq!(MAX_PACKET, 65_535);
}

#[tokio::test]
async fn requests_are_answered_once() {
    let setup = Setup::with("auth_type = trust");
    for (first, second) in [(SSL_REQUEST, GSS_REQUEST), (GSS_REQUEST, SSL_REQUEST)] {
        let mut peer = Peer::connect(&setup).await;
        for request in [first, second] {
            peer.send(request).await;
            assert_eq!(peer.bytes(1).await, b"N");
        }
        peer.send(first).await;
        peer.refused("bad packet").await;
    }
}

#[tokio::test]
async fn messages_out_of_order_in_the_exchange() {
    let cases: &[(&str, &[u8], &str)] = &[
        ("a query", b"Q\0\0\0\x0dselect 1\0", "bad packet"),
        (
            "no length",
            b"p\0\0\0\x03",
            "bad packet header: '7000000003'",
        ),
        ("a huge password", b"p\x7f\xff\xff\xff", "password too long"),
        ("no zero", b"p\0\0\0\x05x", "bad packet"),
        (
            "empty",
            b"p\0\0\0\x05\0",
            "empty password returned by client",
        ),
    ];
    let setup = Setup::with("auth_type = md5");
    for (name, bytes, want) in cases {
        let mut peer = Peer::connect(&setup).await;
        peer.startup(&[("user", "plain"), ("database", "shop")])
            .await;
        peer.frame().await;
        peer.send(bytes).await;
        assert_eq!(peer.refused_with().await, *want, "{name}");
    }
    let cases: &[(&str, &[u8], &str)] = &[
        (
            "unknown mechanism",
            b"p\0\0\0\x1bSCRAM-SHA-256-PLUS\0\0\0\0\0",
            "client selected an invalid SASL authentication mechanism",
        ),
        ("no mechanism", b"p\0\0\0\x04", "bad packet"),
        (
            "nonsense first",
            b"p\0\0\0\x19SCRAM-SHA-256\0\0\0\0\x03n,,",
            "SASL authentication failed",
        ),
    ];
    for (name, bytes, want) in cases {
        let mut peer = Peer::connect(&setup).await;
        peer.startup(&[("user", "scram"), ("database", "shop")])
            .await;
        peer.frame().await;
        peer.send(bytes).await;
        assert_eq!(peer.refused_with().await, *want, "{name}");
    }
}

#[tokio::test]
async fn limits_come_before_the_password() {
    let login = [("user", "plain"), ("database", "shop")];
    let setup = Setup::with("auth_type = md5");
    setup.book.set_full(true);
    let mut peer = Peer::connect(&setup).await;
    peer.startup(&login).await;
    peer.refused("no more connections allowed (max_client_conn)")
        .await;
    // The console is exempt.
    let mut peer = Peer::connect_unix(&setup).await;
    peer.startup(&[("user", "pgbouncer"), ("database", "pgbouncer")])
        .await;
    peer.logged_in().await;
    setup.book.set_full(false);

    setup.book.set_capped(true);
    let mut peer = Peer::connect(&setup).await;
    peer.startup(&login).await;
    peer.refused("client connections exceeded (max_db_client_connections)")
        .await;
}

#[tokio::test]
async fn a_disabled_database_and_long_names() {
    let setup = Setup::with("auth_type = trust");
    let mut peer = Peer::connect(&setup).await;
    peer.startup(&[("user", "plain"), ("database", "disabled")])
        .await;
    peer.refused("database \"disabled\" is disabled").await;

    let long = "u".repeat(128);
    let mut peer = Peer::connect(&setup).await;
    peer.startup(&[("user", &long), ("database", "shop")]).await;
    peer.refused("username too long").await;

    let long = "d".repeat(64);
    let mut peer = Peer::connect(&setup).await;
    peer.startup(&[("user", "plain"), ("database", &long)])
        .await;
    peer.refused(&format!("no such database: {long}")).await;

    let mut peer = Peer::connect(&setup).await;
    peer.startup(&[("user", "nobody"), ("database", "shop")])
        .await;
    peer.refused("\"trust\" authentication failed").await;
}

#[tokio::test]
async fn what_the_first_server_said_is_passed_on() {
    let setup = Setup::with("auth_type = trust");
    let mut peer = Peer::connect(&setup).await;
    peer.startup(&[("user", "plain"), ("database", "broken")])
        .await;
    let frame = peer.error_frame().await;
    assert!(String::from_utf8_lossy(&frame).contains("C3D000"));
    peer.ended().await;
}

#[tokio::test]
async fn timeouts_say_what_was_waited_for() {
    let setup = Setup::with("auth_type = md5\nclient_login_timeout = 0.1");
    let mut peer = Peer::connect(&setup).await;
    peer.startup(&[("user", "plain"), ("database", "shop")])
        .await;
    peer.frame().await;
    peer.refused("client_login_timeout").await;

    let setup = Setup::with("auth_type = trust\nclient_login_timeout = 0.1");
    let mut peer = Peer::connect(&setup).await;
    peer.startup(&[("user", "plain"), ("database", "down")])
        .await;
    peer.refused("client_login_timeout (server down)").await;
}

#[tokio::test]
async fn an_order_from_outside_ends_the_login() {
    let setup = Setup::with("auth_type = md5");
    let mut peer = Peer::connect(&setup).await;
    peer.startup(&[("user", "plain"), ("database", "shop")])
        .await;
    peer.frame().await;
    setup.book.order.notify_one();
    peer.refused("database removed").await;
}

#[tokio::test]
async fn clients_that_go_away() {
    let setup = Setup::with("auth_type = md5");
    let startup = startup_packet(V3, &[("user", "plain"), ("database", "shop")]);
    let down = startup_packet(V3, &[("user", "plain"), ("database", "down")]);
    let cases: &[(&str, &[u8])] = &[
        ("a probe", b""),
        ("half a packet", &startup[..10]),
        ("before the password", &startup),
        ("a half cancel", b"\0\0\0\x10\x04\xd2\x16\x2e\0\0"),
    ];
    for (name, bytes) in cases {
        let mut peer = Peer::connect(&setup).await;
        peer.send(bytes).await;
        peer.hang_up().await;
        match peer.outcome().await {
            Outcome::Ended { error, .. } => assert!(error.is_none(), "{name}"),
            _ => panic!("{name}"),
        }
    }
    // While waiting for a server that does not come.
    let setup = Setup::with("auth_type = trust");
    let mut peer = Peer::connect(&setup).await;
    peer.send(&down).await;
    peer.hang_up().await;
    let ended = peer.outcome().await;
    assert!(matches!(ended, Outcome::Ended { .. }));
}

#[tokio::test]
async fn an_error_behind_pipelined_bytes_still_arrives() {
    let setup = Setup::with("auth_type = trust");
    let mut peer = Peer::connect(&setup).await;
    let mut bytes = startup_packet(V3, &[("user", "plain"), ("database", "nowhere")]);
    bytes.extend(std::iter::repeat_n(0x51, 8_000));
    peer.send(&bytes).await;
    assert_eq!(peer.refused_with().await, "no such database: nowhere");
}
