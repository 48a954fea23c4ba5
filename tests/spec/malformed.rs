//! Bytes from strangers: malformed, truncated, oversized, out of order. Parsers get generated
//! bytes for a short while (bolero); the process gets named nasty cases.

use crate::support::frames::{self, bind, execute, frame, parse, query, sync, untagged};
use crate::support::{Bouncer, Pg};
use std::io::Write as _;
use std::net::TcpStream;

#[test]
fn nasty_first_packets_end_only_their_own_connection() {
    let bouncer = Bouncer::new(Pg::shared())
        .set("client_login_timeout", 2)
        .start();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("one byte", vec![0]),
        ("zero length", vec![0; 8]),
        ("length 4", vec![0, 0, 0, 4]),
        ("length 7", vec![0, 0, 0, 7, 0, 3, 0]),
        ("huge length", vec![0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0]),
        ("negative length", vec![0xff, 0xff, 0xff, 0xff, 0, 3, 0, 0]),
        ("unknown version", untagged(&[0, 9, 0, 0, 0])),
        ("no terminators", untagged(b"\x00\x03\x00\x00useruseruser")),
        ("key without value", untagged(b"\x00\x03\x00\x00user\0")),
        (
            "empty name",
            frames::startup(frames::PROTOCOL_3_0, &[("user", "")]),
        ),
        ("not UTF-8", untagged(b"\x00\x03\x00\x00user\0\xff\xfe\0\0")),
        ("HTTP", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        (
            "TLS hello without TLS",
            vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3],
        ),
        ("typed message first", query("select 1")),
        (
            "short cancel",
            untagged(&frames::CANCEL_REQUEST.to_be_bytes()),
        ),
        ("64 kB of junk", vec![0xaa; 65536]),
        (
            "SSLRequest again and again",
            frames::ssl_request().repeat(100),
        ),
    ];
    for (name, bytes) in &cases {
        let mut line = TcpStream::connect(("127.0.0.1", bouncer.port)).unwrap();
        let _ = line.write_all(bytes);
        drop(line);
        assert!(bouncer.ended().is_none(), "{name}");
    }
    // Once more, this time waiting for the other side to close.
    for (name, bytes) in &cases {
        let mut line = bouncer.login().open().unwrap();
        let _ = line.send(bytes);
        let mut chunk = [0; 4096];
        while matches!(line.read_some(&mut chunk), Ok(n) if n > 0) {}
        assert!(bouncer.ended().is_none(), "{name}");
    }
    assert_eq!(bouncer.client().one("select 1"), "1");
}

#[test]
fn nasty_messages_after_login_end_the_client_with_an_error() {
    let bouncer = Bouncer::new(Pg::shared()).pool_size(2).start();
    let mut bystander = bouncer.client();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("zero length", vec![b'Q', 0, 0, 0, 0]),
        ("length 3", vec![b'Q', 0, 0, 0, 3]),
        ("negative length", vec![b'Q', 0xff, 0xff, 0xff, 0xff]),
        ("unknown type", frame(b'~', b"what")),
        ("backend's type", frame(b'Z', b"I")),
        ("NUL type", vec![0; 64]),
        ("password after login", frames::password("x")),
        ("startup after login", bouncer.login().startup()),
    ];
    for (name, bytes) in cases {
        let mut client = bouncer.client();
        client.put(&bytes);
        let reply = client.end();
        assert_eq!(reply.status, 0, "{name}: {reply:?}");
        assert_eq!(bystander.one("select 1"), "1", "{name}");
    }
}

#[test]
fn broken_extended_messages_get_an_error() {
    let bouncer = Bouncer::new(Pg::shared()).pool_size(2).start();
    let mut bystander = bouncer.client();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty Parse", frame(b'P', b"")),
        ("Parse without end", frame(b'P', b"name")),
        ("Parse without types", frame(b'P', b"name\0select 1\0")),
        (
            "Parse with too many types",
            frame(b'P', b"n\0select 1\0\xff\xff"),
        ),
        ("empty Bind", frame(b'B', b"")),
        ("Bind without end", frame(b'B', b"portal")),
        ("Describe of nothing", frame(b'D', b"")),
        ("Describe of an unknown kind", frame(b'D', b"Xname\0")),
        ("Close of an unknown kind", frame(b'C', b"Xname\0")),
        ("Close without end", frame(b'C', b"Sname")),
        ("Execute without end", frame(b'E', b"portal")),
        ("FunctionCall too short", frame(b'F', b"x")),
        ("Sync with a body", frame(b'S', b"body")),
    ];
    for (name, bytes) in cases {
        let mut client = bouncer.client();
        client.put(&[bytes, sync()].concat());
        let reply = client.until_ready();
        assert!(
            !reply.errors.is_empty() || reply.status == b'I',
            "{name}: {reply:?}"
        );
        drop(client);
        assert_eq!(bystander.one("select 1"), "1", "{name}");
    }
}

#[test]
fn messages_out_of_order_do_not_confuse_anybody() {
    let bouncer = Bouncer::new(Pg::shared()).pool_size(1).start();
    let mut bystander = bouncer.client();
    let late_copy = [
        frames::copy_data(b"late"),
        frames::copy_done(),
        frames::copy_fail("late"),
    ]
    .concat();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        (
            "COPY data out of place",
            [late_copy, query("select 'x'")].concat(),
        ),
        (
            "Execute of nothing",
            [execute("nothing", 0), sync()].concat(),
        ),
        ("Bind of nothing", [bind("", "", &[]), sync()].concat()),
        ("many syncs", sync().repeat(20)),
        (
            "Parse, then a query without Sync",
            [parse("", "select 1"), query("select 'x'")].concat(),
        ),
    ];
    for (name, bytes) in cases {
        let mut client = bouncer.client();
        client.put(&bytes);
        client.until_ready();
        drop(client);
        assert_eq!(bystander.one("select 'me'"), "me", "{name}");
    }
}

#[test]
fn a_truncated_message_and_a_vanished_client_leave_nothing() {
    let bouncer = Bouncer::new(Pg::shared()).pool_size(1).start();
    let whole = [
        parse("s", "select 'whole'"),
        bind("", "s", &[]),
        execute("", 0),
        sync(),
    ]
    .concat();
    for cut in 1..whole.len() {
        let mut client = bouncer.client();
        client.put(&whole[..cut]);
        client.vanish();
    }
    assert_eq!(bouncer.client().one("select 'fresh'"), "fresh");
}

#[test]
fn sql_that_is_not_utf8_passes_byte_for_byte() {
    let bouncer = Bouncer::new(Pg::shared()).start();
    let mut client = bouncer
        .login()
        .parameter("client_encoding", "LATIN1")
        .connect();
    let mut sql = b"select '".to_vec();
    sql.extend((0xa0..=0xff_u8).filter(|byte| *byte != b'\''));
    sql.extend(b"'\0");
    let reply = client.exchange(&frame(b'Q', &sql));
    assert!(reply.errors.is_empty(), "{reply:?}");
    assert_eq!(reply.status, b'I');
}

#[test]
fn connections_that_open_and_close_in_masses_leave_no_trace() {
    let bouncer = Bouncer::new(Pg::shared())
        .set("max_client_conn", 2000)
        .start();
    bouncer.client().one("select 1");
    for _ in 0..500 {
        drop(TcpStream::connect(("127.0.0.1", bouncer.port)).unwrap());
    }
    let used = || {
        let lists = bouncer.show("show lists");
        let get = |name: &str| lists.cell("items", |row| row.get("list") == name).unwrap();
        (get("used_clients"), get("login_clients"))
    };
    crate::assert_soon!(
        used() == ("1".to_owned(), "0".to_owned()),
        "only the console is left"
    );
}

#[test]
fn parsers_of_messages_survive_any_bytes() {
    use pgweir::wire::{backend, frame, frontend};
    bolero::check!().for_each(|bytes: &[u8]| {
        if let frame::Peeked::Header(header) = frame::peek(bytes, u32::MAX) {
            assert!(header.total >= 5);
        }
        let _ = (frontend::split_parse(bytes), frontend::described(bytes));
        let _ = (
            backend::parameter_status(bytes),
            backend::error_fields(bytes),
        );
        for total in [0, 5, bytes.len(), bytes.len() + 1, usize::MAX] {
            if let Ok(Some(name)) = frontend::bind_statement(bytes, total) {
                assert!(name.end < bytes.len(), "the name and its end are inside");
            }
        }
    });
}

#[test]
fn parsers_of_files_survive_any_bytes() {
    use std::path::Path;
    bolero::check!().for_each(|bytes: &[u8]| {
        // Without %include: generated names of files are nobody's business.
        let text: Vec<u8> = bytes
            .iter()
            .map(|byte| if *byte == b'%' { b';' } else { *byte })
            .collect();
        let _ = pgweir::config::parse(Path::new("noise.ini"), &text);
    });
}
