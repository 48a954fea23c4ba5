//! Logins over real sockets against a gate of the tests.
#![allow(clippy::unwrap_used)]

mod refusals;
mod support;

use super::*;
use crate::auth::md5;
use crate::wire::version::SERVER_VERSION;
use support::{Peer, Setup, USERLIST_SCRAM};

#[tokio::test]
async fn welcome_comes_in_pgbouncers_order() {
    let setup = Setup::with("auth_type = trust\nlogin_notify_message = hello");
    let mut peer = Peer::connect(&setup).await;
    let pairs = [
        ("user", "plain"),
        ("database", "shop"),
        ("datestyle", "German"),
        ("application_name", "odoo"),
        ("work_mem", "1MB"),
        ("default_transaction_read_only", "off"),
        ("options", "-c Default_transaction_read_only=on -c geqo=off"),
    ];
    peer.startup(&pairs).await;
    assert_eq!(peer.tags(13).await, "RSSSSSSSSSKNZ");
    assert_eq!(
        peer.seen_parameters(),
        [
            "is_superuser=off",
            "server_version=16.4",
            "default_transaction_read_only=off",
            "DateStyle=German",
            "client_encoding=UTF8",
            "TimeZone=UTC",
            "standard_conforming_strings=on",
            "application_name=odoo",
            "IntervalStyle=postgres",
        ]
    );
    let logged_in = peer.logged_in().await;
    assert_eq!(&*logged_in.who.user, "plain");
    assert_eq!(&*logged_in.who.database, "shop");
    assert_eq!(logged_in.parameters.len(), 2);
    let names: Vec<&str> = logged_in.settings.iter().map(|(n, _)| n.as_str()).collect();
    let read_only = "default_transaction_read_only";
    assert_eq!(
        names,
        [
            "Default_transaction_read_only",
            "geqo",
            "work_mem",
            read_only
        ]
    );
    assert!(logged_in.reported.is_some());
    assert_eq!(logged_in.cancel_key.to_be_bytes(), peer.seen_key());
    assert_eq!(logged_in.cancel_key >> 63, 0);
    assert!(
        logged_in
            .gate
            .book
            .keys
            .lock()
            .unwrap()
            .contains(&logged_in.cancel_key)
    );
}

#[tokio::test]
async fn first_query_behind_the_startup_is_kept() {
    let setup = Setup::with("auth_type = trust");
    let mut peer = Peer::connect(&setup).await;
    let mut bytes = support::startup_packet(3 << 16, &[("user", "plain"), ("database", "shop")]);
    bytes.extend(b"Q\0\0\0\x0dselect 1\0");
    peer.send(&bytes).await;
    let logged_in = peer.logged_in().await;
    assert_eq!(logged_in.leftover, b"Q\0\0\0\x0dselect 1\0");
}

#[tokio::test]
async fn a_startup_in_single_bytes_and_a_long_one_are_read() {
    let setup = Setup::with("auth_type = trust\nignore_startup_parameters = x");
    let mut peer = Peer::connect(&setup).await;
    for byte in support::startup_packet(3 << 16, &[("user", "plain"), ("database", "shop")]) {
        peer.send(&[byte]).await;
        tokio::task::yield_now().await;
    }
    peer.logged_in().await;
    let mut peer = Peer::connect(&setup).await;
    let long = "y".repeat(50_000);
    peer.startup(&[("user", "plain"), ("x", &long), ("database", "shop")])
        .await;
    peer.logged_in().await;
}

#[tokio::test]
async fn md5_for_plain_and_md5_entries() {
    let setup = Setup::with("auth_type = md5");
    for user in ["plain", "hashed"] {
        for (password, is_right) in [("secret", true), ("wrong", false)] {
            let mut peer = Peer::connect(&setup).await;
            peer.startup(&[("user", user), ("database", "shop")]).await;
            let request = peer.frame().await;
            assert_eq!(&request[..9], b"R\0\0\0\x0c\0\0\0\x05");
            let salt = request[9..13].try_into().unwrap();
            let stored = md5::hash(user.as_bytes(), password.as_bytes());
            peer.password(&md5::response(&stored, salt)).await;
            match is_right {
                true => drop(peer.logged_in().await),
                false => peer.refused("password authentication failed").await,
            }
        }
    }
}

#[tokio::test]
async fn plain_for_every_kind_of_entry() {
    let setup = Setup::with("auth_type = plain");
    for user in ["plain", "hashed", "scram"] {
        for (password, is_right) in [("secret", true), ("wrong", false)] {
            let mut peer = Peer::connect(&setup).await;
            peer.startup(&[("user", user), ("database", "shop")]).await;
            assert_eq!(peer.frame().await, b"R\0\0\0\x08\0\0\0\x03");
            peer.password(password.as_bytes()).await;
            match is_right {
                true => drop(peer.logged_in().await),
                false => peer.refused("password authentication failed").await,
            }
        }
    }
}

#[tokio::test]
async fn scram_for_plain_and_scram_entries() {
    let setup = Setup::with("auth_type = scram-sha-256\nscram_iterations = 64");
    for (user, captures) in [("plain", false), ("scram", true)] {
        // Twice: the second time the derived keys are cached.
        for _ in 0..2 {
            let mut peer = Peer::connect(&setup).await;
            peer.startup(&[("user", user), ("database", "shop")]).await;
            peer.scram("secret").await.unwrap();
            let gate = peer.logged_in().await.gate;
            assert_eq!(gate.book.captured.lock().unwrap().is_some(), captures);
        }
        let mut peer = Peer::connect(&setup).await;
        peer.startup(&[("user", user), ("database", "shop")]).await;
        peer.scram("wrong").await.unwrap_err();
        peer.refused("SASL authentication failed").await;
    }
}

#[tokio::test]
async fn md5_switches_to_scram_for_a_scram_entry() {
    assert!(USERLIST_SCRAM.starts_with("SCRAM-SHA-256$"));
    let setup = Setup::with("auth_type = md5");
    let mut peer = Peer::connect(&setup).await;
    peer.startup(&[("user", "scram"), ("database", "shop")])
        .await;
    peer.scram("secret").await.unwrap();
    let gate = peer.logged_in().await.gate;
    assert!(gate.book.captured.lock().unwrap().is_some());
}

#[tokio::test]
async fn unknown_names_run_a_whole_exchange() {
    let setup = Setup::with("auth_type = scram-sha-256");
    for user in ["nobody", "hashed", "empty"] {
        let mut peer = Peer::connect(&setup).await;
        peer.startup(&[("user", user), ("database", "shop")]).await;
        peer.scram("secret").await.unwrap_err();
        peer.refused("SASL authentication failed").await;
    }
    let mut peer = Peer::connect(&setup).await;
    peer.startup(&[("user", "scram"), ("database", "nowhere")])
        .await;
    peer.scram("secret").await.unwrap();
    peer.refused("no such database: nowhere").await;

    let setup = Setup::with("auth_type = md5");
    let mut peer = Peer::connect(&setup).await;
    peer.startup(&[("user", "nobody"), ("database", "nowhere")])
        .await;
    assert_eq!(peer.frame().await.len(), 13);
    peer.password(b"md5aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").await;
    peer.refused("password authentication failed").await;
}

#[tokio::test]
async fn any_logs_in_as_the_forced_user() {
    let setup = Setup::with("auth_type = any");
    let mut peer = Peer::connect(&setup).await;
    peer.startup(&[("user", "whoever"), ("database", "forced")])
        .await;
    assert_eq!(&*peer.logged_in().await.who.user, "owner");
    let mut peer = Peer::connect(&setup).await;
    peer.startup(&[("user", "whoever"), ("database", "shop")])
        .await;
    peer.refused("bouncer config error").await;
}

#[tokio::test]
async fn console_rights() {
    let setup = Setup::with("auth_type = trust\nadmin_users = plain\nstats_users = hashed");
    for (user, right) in [
        ("plain", ConsoleRight::Admin),
        ("hashed", ConsoleRight::Stats),
    ] {
        let mut peer = Peer::connect(&setup).await;
        peer.startup(&[("user", user), ("database", "pgbouncer")])
            .await;
        let logged_in = peer.logged_in().await;
        assert!(matches!(logged_in.target, Target::Console(r) if r == right));
        assert!(logged_in.reported.is_none());
        peer.tags(9).await;
        let version = format!("server_version={SERVER_VERSION}");
        assert_eq!(peer.seen_parameters()[0], version);
        // Administrators are exempt from the caps on named clients.
        assert_eq!(logged_in.gate.is_claimed, right == ConsoleRight::Stats);
    }
    for user in ["scram", "nobody"] {
        let mut peer = Peer::connect(&setup).await;
        peer.startup(&[("user", user), ("database", "pgbouncer")])
            .await;
        peer.refused("not allowed").await;
    }
}

#[tokio::test]
async fn own_account_needs_no_password_on_the_unix_socket() {
    let setup = Setup::with("auth_type = md5");
    let mut peer = Peer::connect_unix(&setup).await;
    peer.startup(&[("user", "pgbouncer"), ("database", "pgbouncer")])
        .await;
    let target = peer.logged_in().await.target;
    assert!(matches!(target, Target::Console(ConsoleRight::Admin)));
    // Over TCP it is a name like any other.
    let mut peer = Peer::connect(&setup).await;
    peer.startup(&[("user", "pgbouncer"), ("database", "pgbouncer")])
        .await;
    peer.refused("not allowed").await;
}

#[tokio::test]
async fn newer_protocols_are_negotiated_down() {
    let setup = Setup::with("auth_type = trust");
    let mut peer = Peer::connect(&setup).await;
    let pairs = [("user", "plain"), ("database", "shop"), ("_pq_.x", "1")];
    peer.send(&support::startup_packet((3 << 16) | 2, &pairs))
        .await;
    assert_eq!(
        peer.frame().await,
        b"v\0\0\0\x13\0\x03\0\0\0\0\0\x01_pq_.x\0"
    );
    assert_eq!(peer.frame().await[0], b'R');
    peer.logged_in().await;
}

#[tokio::test]
async fn application_name_carries_the_host() {
    let setup = Setup::with("auth_type = trust\napplication_name_add_host = 1");
    for (pairs, begins) in [
        (
            vec![("user", "plain"), ("database", "shop")],
            "app - 127.0.0.1:",
        ),
        (
            vec![
                ("user", "plain"),
                ("database", "shop"),
                ("application_name", "x"),
            ],
            "x - 127.0.0.1:",
        ),
    ] {
        let mut peer = Peer::connect(&setup).await;
        peer.startup(&pairs).await;
        let parameters = peer.logged_in().await.parameters;
        assert!(parameters[0].1.starts_with(begins), "{parameters:?}");
    }
}

#[tokio::test]
async fn cancel_requests_are_handed_over() {
    let setup = Setup::with("auth_type = md5");
    let mut peer = Peer::connect(&setup).await;
    peer.send(b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x01\0\0\0\x02")
        .await;
    match peer.outcome().await {
        Outcome::Cancel { key, .. } => assert_eq!(key, Some((1 << 32) | 2)),
        _ => panic!("not a cancel request"),
    }
}

#[tokio::test]
async fn tls_after_a_request_and_direct() {
    let setup = Setup::with("auth_type = trust\nclient_tls_sslmode = require");
    let mut peer = Peer::connect(&setup).await;
    peer.startup(&[("user", "plain"), ("database", "shop")])
        .await;
    peer.refused("SSL required").await;
    for is_direct in [false, true] {
        let peer = Peer::connect(&setup).await;
        let (session, mut peer) = peer.tls(is_direct).await;
        let packet = support::startup_packet(3 << 16, &[("user", "plain"), ("database", "shop")]);
        let answer = support::exchange_over_tls(session, &packet).await;
        assert_eq!(answer[0], b'R');
        let logged_in = peer.logged_in().await;
        assert!(logged_in.who.tls.unwrap().starts_with("TLSv1.3/"));
    }
    // A Unix socket is exempt and is never offered TLS.
    let mut peer = Peer::connect_unix(&setup).await;
    peer.send(support::SSL_REQUEST).await;
    assert_eq!(peer.bytes(1).await, b"N");
    peer.startup(&[("user", "plain"), ("database", "shop")])
        .await;
    peer.logged_in().await;
}
