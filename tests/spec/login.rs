//! Logging in: every auth_type, every way to get it wrong, the first packets (surface 6.1, 6.8).

use crate::support::frames::{self, PROTOCOL_3_2, untagged};
use crate::support::secrets::{md5_secret, scram_secret};
use crate::support::{Bouncer, Login, Pg, PgError, Running};

pub fn bouncer(auth_type: &str) -> Bouncer {
    Bouncer::new(Pg::shared()).set("auth_type", auth_type)
}

/// PgBouncer's own errors: FATAL 08P01 with exactly three fields.
#[track_caller]
pub fn assert_refused(error: &PgError, text: &str) {
    let keys: String = error.fields.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, "SCM", "{error:?}");
    assert_eq!(
        (error.severity(), error.sqlstate(), error.text()),
        ("FATAL", "08P01", text)
    );
}

fn three_secrets() -> String {
    format!(
        "\"app\" \"app-secret\"\n\"other\" \"{}\"\n\"third\" \"{}\"\n",
        md5_secret("other", "other-secret"),
        scram_secret("third-secret", b"0123456789abcdef", 4096),
    )
}

fn lets_in(bouncer: &Running, user: &str) -> bool {
    bouncer
        .login()
        .user(user)
        .try_connect()
        .is_ok_and(|mut client| client.one("select 1") == "1")
}

#[test]
fn auth_type_md5_takes_plain_md5_and_scram_secrets() {
    let bouncer = bouncer("md5").userlist(&three_secrets()).start();
    for user in ["app", "other", "third"] {
        assert!(lets_in(&bouncer, user), "{user}");
    }
    for user in ["app", "other"] {
        let wrong = bouncer.login().user(user).password("wrong").refused();
        assert_refused(&wrong, "password authentication failed");
    }
    let wrong = bouncer.login().user("third").password("wrong").refused();
    assert_refused(&wrong, "SASL authentication failed");
}

#[test]
fn auth_type_scram_takes_plain_and_scram_secrets() {
    let bouncer = bouncer("scram-sha-256").userlist(&three_secrets()).start();
    assert!(lets_in(&bouncer, "app"));
    assert!(lets_in(&bouncer, "third"));
    assert_refused(
        &bouncer.login().user("other").refused(),
        "SASL authentication failed",
    );
    for user in ["app", "third"] {
        let wrong = bouncer.login().user(user).password("wrong").refused();
        assert_refused(&wrong, "SASL authentication failed");
    }
}

#[test]
fn auth_type_plain_takes_every_secret() {
    let bouncer = bouncer("plain").userlist(&three_secrets()).start();
    for user in ["app", "other", "third"] {
        assert!(lets_in(&bouncer, user), "{user}");
        let wrong = bouncer.login().user(user).password("wrong").refused();
        assert_refused(&wrong, "password authentication failed");
    }
    let empty = bouncer.login().user("app").password("").refused();
    assert_refused(&empty, "empty password returned by client");
}

#[test]
fn auth_type_trust_wants_a_known_name_only() {
    let bouncer = bouncer("trust").start();
    assert!(lets_in(&bouncer, "app"));
    let unknown = bouncer.login().user("nobody_knows").refused();
    assert_refused(&unknown, "\"trust\" authentication failed");
}

#[test]
fn auth_type_any_ignores_the_name_and_wants_a_forced_user() {
    let pg = Pg::shared();
    let line = format!(
        "forced = host=127.0.0.1 port={} dbname=app user=app",
        pg.port
    );
    let bouncer = bouncer("any").database(line).start();
    let mut client = bouncer.login().user("whoever").database("forced").connect();
    assert_eq!(client.one("select current_user"), "app");
    assert_refused(
        &bouncer.login().user("whoever").refused(),
        "bouncer config error",
    );
}

#[test]
fn an_unknown_user_cannot_be_told_from_a_wrong_password() {
    for (auth_type, text) in [
        ("md5", "password authentication failed"),
        ("scram-sha-256", "SASL authentication failed"),
        ("plain", "password authentication failed"),
    ] {
        let bouncer = bouncer(auth_type).start();
        let unknown = bouncer.login().user("nobody_knows").refused();
        assert_refused(&unknown, text);
        assert_eq!(bouncer.login().password("wrong").refused(), unknown);
    }
}

#[test]
fn the_mock_exchange_shows_the_same_salt_every_time() {
    let bouncer = bouncer("scram-sha-256").start();
    let salt = || {
        let mut line = bouncer.login().user("nobody_knows").open().unwrap();
        line.put(&frames::startup(
            frames::PROTOCOL_3_0,
            &[("user", "nobody_knows")],
        ));
        line.until(b'R');
        let first = "n,,n=,r=abcdefghijklmnopqrstuvwx";
        let mut body = frames::cstr("SCRAM-SHA-256");
        body.extend_from_slice(&(first.len() as u32).to_be_bytes());
        body.extend_from_slice(first.as_bytes());
        line.put(&frames::frame(b'p', &body));
        let challenge = line.receive().expect("a challenge").body;
        let text = String::from_utf8_lossy(&challenge[4..]).into_owned();
        text.split(',')
            .find(|part| part.starts_with("s="))
            .expect("a salt")
            .to_owned()
    };
    assert_eq!(salt(), salt());
}

#[test]
fn an_unknown_database_is_named_only_after_the_password() {
    let line = format!(
        "known = host=127.0.0.1 port={} dbname=app",
        Pg::shared().port
    );
    let bouncer = bouncer("md5").only_databases(&[&line]).start();
    let login = bouncer.login().database("unknown");
    assert_refused(&login.refused(), "no such database: unknown");
    assert_refused(
        &login.password("wrong").refused(),
        "password authentication failed",
    );
    assert!(bouncer.login().database("known").try_connect().is_ok());
}

#[test]
fn a_database_missing_in_postgresql_gives_its_own_error() {
    let bouncer = bouncer("trust").start();
    let error = bouncer.login().database("missing_there").refused();
    assert_eq!((error.severity(), error.sqlstate()), ("FATAL", "3D000"));
    assert_eq!(error.text(), "database \"missing_there\" does not exist");
}

#[test]
fn the_database_defaults_to_the_user_name() {
    let bouncer = bouncer("trust").start();
    let mut client = bouncer.login().no_database().connect();
    assert_eq!(client.one("select current_database()"), "app");
}

#[test]
fn postgresql_may_ask_for_scram_md5_or_cleartext() {
    let bouncer = bouncer("md5").start();
    for user in ["scram_user", "md5_user", "clear_user"] {
        let mut client = bouncer.login().user(user).connect();
        assert_eq!(client.one("select current_user"), user);
    }
}

#[test]
fn scram_keys_pass_through_when_both_sides_have_the_same_secret() {
    let pg = Pg::shared();
    let secret = pg.ask("select rolpassword from pg_authid where rolname = 'scram_user'");
    let bouncer = bouncer("scram-sha-256")
        .userlist(&format!("\"scram_user\" \"{secret}\"\n"))
        .start();
    let mut client = bouncer.login().user("scram_user").connect();
    assert_eq!(client.one("select current_user"), "scram_user");
    drop(client);
    assert_eq!(
        bouncer.login().user("scram_user").connect().one("select 2"),
        "2"
    );
}

#[test]
fn a_secret_the_server_cannot_use_fails_with_a_clear_word() {
    // A md5 secret cannot answer a SCRAM challenge: only the plain password could.
    let list = format!(
        "\"scram_user\" \"{}\"\n",
        md5_secret("scram_user", "scram-secret")
    );
    let bouncer = bouncer("md5")
        .userlist(&list)
        .set("client_login_timeout", 3)
        .start();
    let error = bouncer.login().user("scram_user").refused();
    assert_eq!((error.severity(), error.sqlstate()), ("FATAL", "08P01"));
    crate::assert_soon!(
        bouncer.logged("wrong password type") > 0,
        "the log says why"
    );
}

#[test]
fn the_servers_refusal_of_a_login_reaches_the_client() {
    let bouncer = bouncer("trust")
        .userlist("\"scram_user\" \"wrong\"\n\"ghost\" \"\"\n")
        .start();
    let error = bouncer.login().user("scram_user").refused();
    assert_eq!((error.severity(), error.sqlstate()), ("FATAL", "28P01"));
    assert_eq!(bouncer.login().user("ghost").refused().sqlstate(), "28000");
}

#[test]
fn a_forced_user_logs_in_with_the_databases_password() {
    let pg = Pg::shared();
    let line = format!(
        "forced = host=127.0.0.1 port={} dbname=app user=scram_user password='scram-secret'",
        pg.port
    );
    let bouncer = bouncer("md5").database(line).start();
    let mut client = bouncer.login().user("other").database("forced").connect();
    assert_eq!(client.one("select current_user"), "scram_user");
}

#[test]
fn the_welcome_has_everything_a_driver_looks_at() {
    let bouncer = bouncer("trust").start();
    let client = bouncer.client();
    for key in [
        "server_version",
        "client_encoding",
        "DateStyle",
        "standard_conforming_strings",
        "TimeZone",
        "server_encoding",
        "integer_datetimes",
        "IntervalStyle",
        "is_superuser",
        "session_authorization",
        "application_name",
    ] {
        assert!(
            client.parameter(key).is_some(),
            "{key} in {:?}",
            client.parameters
        );
    }
    assert_eq!(client.key.len(), 8);
    assert_eq!(
        client.key[0] & 0x80,
        0,
        "drivers read the process id as a signed number"
    );
    assert!(
        client.welcome.kinds.ends_with("KZ"),
        "{}",
        client.welcome.kinds
    );
    assert_ne!(client.key, bouncer.client().key);
}

#[test]
fn startup_values_are_in_the_welcome_and_on_the_server() {
    let bouncer = bouncer("trust").pool_size(1).start();
    let mut client = bouncer
        .login()
        .parameter("application_name", "odoo-4711")
        .parameter("TimeZone", "Asia/Tokyo")
        .parameter("datestyle", "ISO, DMY")
        .parameter("client_encoding", "LATIN1")
        .connect();
    assert_eq!(client.parameter("application_name"), Some("odoo-4711"));
    assert_eq!(client.parameter("TimeZone"), Some("Asia/Tokyo"));
    assert_eq!(client.one("show application_name"), "odoo-4711");
    assert_eq!(client.one("show timezone"), "Asia/Tokyo");
    assert_eq!(client.one("show datestyle"), "ISO, DMY");
    assert_eq!(client.one("show client_encoding"), "LATIN1");
}

#[test]
fn options_may_set_tracked_parameters() {
    let bouncer = bouncer("trust").start();
    for options in [
        "-c TimeZone=Asia/Tokyo",
        "-cTimeZone=Asia/Tokyo",
        "--TimeZone=Asia/Tokyo",
    ] {
        let mut client = bouncer.login().parameter("options", options).connect();
        assert_eq!(client.one("show timezone"), "Asia/Tokyo", "{options}");
    }
    let unknown = bouncer.login().parameter("options", "-c foo=off").refused();
    assert_refused(&unknown, "unsupported startup parameter in options: foo");
    let odd = bouncer.login().parameter("options", "-x").refused();
    let text = "unsupported options startup parameter: only '-c config=val' and \
                '--config=val' are allowed";
    assert_refused(&odd, text);
}

#[test]
fn unknown_startup_parameters_are_refused_unless_ignored() {
    let plain = bouncer("trust").start();
    let error = plain.login().parameter("foo", "2").refused();
    assert_refused(&error, "unsupported startup parameter: foo");
    for strict in [
        bouncer("trust").own("session_state", "pgbouncer"),
        bouncer("trust").pool_mode("session"),
    ] {
        let strict = strict.start();
        let error = strict
            .login()
            .parameter("extra_float_digits", "2")
            .refused();
        assert_refused(&error, "unsupported startup parameter: extra_float_digits");
        let error = strict.login().parameter("options", "-c geqo=off").refused();
        assert_refused(&error, "unsupported startup parameter in options: geqo");
    }
    let lenient = bouncer("trust")
        .own("session_state", "pgbouncer")
        .set("ignore_startup_parameters", "extra_float_digits, options")
        .start();
    let login = lenient.login().parameter("extra_float_digits", "2");
    assert_eq!(
        login
            .parameter("options", "-c geqo=off")
            .connect()
            .one("select 1"),
        "1"
    );
}

#[test]
fn protocol_3_2_is_negotiated_down() {
    let bouncer = bouncer("trust").start();
    let mut client = bouncer
        .login()
        .version(PROTOCOL_3_2)
        .parameter("_pq_.odd_option", "1")
        .connect();
    assert!(
        client.welcome.kinds.starts_with('v'),
        "{}",
        client.welcome.kinds
    );
    assert_eq!(client.key.len(), 8);
    assert_eq!(client.one("select 1"), "1");
}

#[test]
fn old_and_nonsensical_startup_packets_are_refused() {
    let bouncer = bouncer("trust").start();
    let cases: [(&str, Vec<u8>, &str); 4] = [
        (
            "protocol 2",
            frames::startup(0x0002_0000, &[("user", "app")]),
            "old V2 protocol not supported",
        ),
        (
            "no user",
            frames::startup(frames::PROTOCOL_3_0, &[("database", "app")]),
            "no username supplied",
        ),
        (
            "no terminator",
            untagged(b"\x00\x03\x00\x00user\0app\0database\0app"),
            "invalid startup packet layout: expected terminator as last byte",
        ),
        (
            "long name",
            frames::startup(frames::PROTOCOL_3_0, &[("user", &"u".repeat(200))]),
            "",
        ),
    ];
    for (name, bytes, text) in cases {
        let mut line = bouncer.login().open().unwrap();
        line.put(&bytes);
        let reply = line.end();
        if !text.is_empty() {
            assert_eq!(reply.error().text(), text, "{name}");
        }
        assert_eq!(reply.status, 0, "{name}");
    }
    assert_eq!(bouncer.client().one("select 1"), "1");
}

#[test]
fn a_login_that_takes_too_long_is_ended() {
    let bouncer = bouncer("md5").set("client_login_timeout", 1).start();
    let mut silent = bouncer.login().open().unwrap();
    let mut halfway = bouncer.login().open().unwrap();
    halfway.put(&bouncer.login().startup());
    halfway.until(b'R');
    assert_refused(halfway.end().error(), "client_login_timeout");
    assert_refused(silent.end().error(), "client_login_timeout");
}

#[test]
fn the_unix_socket_works_like_tcp() {
    let bouncer = bouncer("md5").set("listen_addr", "").start();
    let login = Login::new(bouncer.port).unix(&bouncer.dir());
    assert_eq!(login.connect().one("select 1"), "1");
    assert_refused(
        &login.password("wrong").refused(),
        "password authentication failed",
    );
}

#[test]
fn a_star_listens_on_both_families() {
    let bouncer = bouncer("trust").set("listen_addr", "*").start();
    assert_eq!(bouncer.client().one("select 1"), "1");
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        assert_eq!(bouncer.login().host("::1").connect().one("select 6"), "6");
    }
}

#[test]
fn more_than_max_client_conn_are_refused_and_the_console_is_not() {
    let bouncer = bouncer("trust").set("max_client_conn", 3).start();
    let mut inside: Vec<_> = (0..3).map(|_| bouncer.client()).collect();
    assert_refused(
        &bouncer.login().refused(),
        "no more connections allowed (max_client_conn)",
    );
    assert_eq!(bouncer.show("show version").rows.len(), 1);
    drop(inside.pop());
    crate::assert_soon!(
        bouncer.login().try_connect().is_ok(),
        "a place is free again"
    );
}

#[test]
fn a_disabled_database_refuses_new_logins_only() {
    let bouncer = bouncer("trust").start();
    let mut inside = bouncer.client();
    bouncer.show("disable app");
    assert_refused(&bouncer.login().refused(), "database \"app\" is disabled");
    assert_eq!(inside.one("select 1"), "1");
    bouncer.show("enable app");
    assert_eq!(bouncer.client().one("select 2"), "2");
}

#[test]
fn a_client_may_send_everything_at_once() {
    let bouncer = bouncer("trust").start();
    let mut line = bouncer.login().open().unwrap();
    line.put(&[bouncer.login().startup(), frames::query("select 'at once'")].concat());
    line.until(b'Z');
    assert_eq!(line.until_ready().one(), "at once");
}

#[test]
fn a_login_may_arrive_byte_by_byte() {
    let bouncer = bouncer("plain").start();
    let mut line = bouncer.login().open().unwrap();
    for byte in bouncer.login().startup() {
        line.put(&[byte]);
    }
    line.until(b'R');
    for byte in frames::password("app-secret") {
        line.put(&[byte]);
    }
    assert!(line.until(b'Z').kinds.ends_with('Z'));
    assert_eq!(line.one("select 1"), "1");
}
