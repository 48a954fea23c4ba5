//! Nasty first packets by name.
#![allow(clippy::unwrap_used)]

use super::*;

fn packet(code: u32, body: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(body.len() + 8)
        .unwrap()
        .to_be_bytes()
        .to_vec();
    out.extend(code.to_be_bytes());
    out.extend(body);
    out
}

#[test]
fn first_bytes() {
    let cases: &[(&str, &[u8], First)] = &[
        ("nothing", b"", First::Short),
        ("three bytes", b"\0\0\0", First::Short),
        ("direct TLS", b"\x16\x03", First::DirectTls),
        ("length 7", b"\0\0\0\x07", First::Bad),
        ("length 8", b"\0\0\0\x08", First::Packet { total: 8 }),
        (
            "the longest",
            b"\0\0\xff\xff",
            First::Packet { total: 65_535 },
        ),
        ("one too long", b"\0\x01\0\0", First::Bad),
        ("HTTP", b"GET / HTTP/1.1", First::Bad),
        ("a Query", b"Q\0\0\0\x0dselect 1\0", First::Bad),
        ("all ones", b"\xff\xff\xff\xff", First::Bad),
    ];
    for (name, bytes, want) in cases {
        assert_eq!(peek_first(bytes), *want, "{name}");
    }
}

#[test]
fn requests() {
    assert_eq!(parse_packet(&packet(SSL_CODE, b"")), Ok(Packet::Ssl));
    assert_eq!(parse_packet(&packet(GSS_CODE, b"")), Ok(Packet::Gss));
    let cancel = packet(CANCEL_CODE, b"\0\0\0\x01\0\0\0\x02");
    match parse_packet(&cancel) {
        Ok(Packet::Cancel(cancel)) => assert_eq!(cancel.key(), Some(1 << 32 | 2)),
        other => panic!("{other:?}"),
    }
    let mut long = vec![0; 260];
    match parse_packet(&packet(CANCEL_CODE, &long)) {
        Ok(Packet::Cancel(cancel)) => assert_eq!(cancel.key(), None),
        other => panic!("{other:?}"),
    }
    long.push(0);
    let cases: &[(&str, Vec<u8>, Malformed)] = &[
        ("empty", vec![], Malformed::Length),
        (
            "SSLRequest and more",
            packet(SSL_CODE, b"x"),
            Malformed::Length,
        ),
        (
            "GSSENCRequest and more",
            packet(GSS_CODE, b"x"),
            Malformed::Length,
        ),
        (
            "cancel without key",
            packet(CANCEL_CODE, b""),
            Malformed::Length,
        ),
        (
            "cancel with short key",
            packet(CANCEL_CODE, &[0; 7]),
            Malformed::Length,
        ),
        (
            "cancel with long key",
            packet(CANCEL_CODE, &long),
            Malformed::Length,
        ),
        ("protocol 2", packet(2 << 16, b"x"), Malformed::OldProtocol),
        ("protocol 4", packet(4 << 16, b"\0"), Malformed::UnknownCode),
        (
            "unknown code",
            packet(80_877_105, b""),
            Malformed::UnknownCode,
        ),
    ];
    for (name, bytes, want) in cases {
        assert_eq!(parse_packet(bytes), Err(*want), "{name}");
    }
}

#[test]
fn startup_layout() {
    let v3 = 3 << 16 | 2;
    let good = packet(v3, b"user\0a\0user\0b\0database\0\0\0");
    match parse_packet(&good) {
        Ok(Packet::Startup(startup)) => {
            assert_eq!(startup.minor, 2);
            assert_eq!(startup.parameters.len(), 3);
            assert_eq!(startup.get(b"user"), Some(&b"b"[..]));
            assert_eq!(startup.get(b"database"), Some(&b""[..]));
            assert_eq!(startup.get(b"User"), None);
        }
        other => panic!("{other:?}"),
    }
    let cases: &[(&str, &[u8])] = &[
        ("no terminator at all", b""),
        ("name without end", b"user"),
        ("value without end", b"user\0odoo"),
        ("no terminator", b"user\0odoo\0"),
        ("name without value", b"user\0"),
        ("bytes after the terminator", b"user\0odoo\0\0x"),
        ("two terminators", b"user\0odoo\0\0\0"),
    ];
    for (name, body) in cases {
        let whole = packet(v3, body);
        assert_eq!(parse_packet(&whole), Err(Malformed::Layout), "{name}");
    }
    assert!(parse_packet(&packet(v3, b"\0")).is_ok());
}

type Pairs = &'static [(&'static str, &'static str)];

#[test]
fn options() {
    let cases: &[(&str, Option<Pairs>)] = &[
        ("", Some(&[])),
        ("  ", Some(&[])),
        ("-c a=b", Some(&[("a", "b")])),
        ("-ca=b", Some(&[("a", "b")])),
        ("--a=b", Some(&[("a", "b")])),
        (" -c  a=b\t--c=d ", Some(&[("a", "b"), ("c", "d")])),
        ("-c a=b=c", Some(&[("a", "b=c")])),
        ("-c a=", Some(&[("a", "")])),
        (r"-c a=x\ y", Some(&[("a", "x y")])),
        (r"-c a=x\\y", Some(&[("a", r"x\y")])),
        (r"-c a=x\", Some(&[("a", "x")])),
        (
            "-c geqo_effort=3 -c search_path=a,b",
            Some(&[("geqo_effort", "3"), ("search_path", "a,b")]),
        ),
        ("--search-path=a-b", Some(&[("search_path", "a-b")])),
        ("-c", None),
        ("-c a", None),
        ("-c =b", None),
        ("--", None),
        ("-d 5", None),
        ("a=b", None),
        ("-c a=b c", None),
    ];
    for (text, want) in cases {
        let got = parse_options(text.as_bytes());
        let want = want.map(|pairs| {
            let pairs = pairs.iter();
            let owned = pairs.map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec()));
            owned.collect::<Vec<_>>()
        });
        assert_eq!(got, want, "{text}");
    }
}

#[test]
fn passwords_and_sasl() {
    assert_eq!(parse_password(b"secret\0"), Ok(&b"secret"[..]));
    assert_eq!(parse_password(b"\0"), Ok(&b""[..]));
    for bad in [&b""[..], b"secret", b"sec\0ret\0", b"secret\0\0"] {
        assert_eq!(parse_password(bad), Err(Malformed::Layout));
    }
    let good = b"SCRAM-SHA-256\0\0\0\0\x03n,,";
    assert_eq!(
        parse_sasl_initial(good),
        Ok((&b"SCRAM-SHA-256"[..], &b"n,,"[..]))
    );
    assert_eq!(
        parse_sasl_initial(b"X\0\xff\xff\xff\xff"),
        Ok((&b"X"[..], &b""[..]))
    );
    for bad in [
        &b""[..],
        b"X",
        b"X\0",
        b"X\0\0\0\0",
        b"X\0\0\0\0\x02n",
        b"X\0\0\0\0\x01nn",
        b"X\0\xff\xff\xff\xffn",
        b"X\0\xff\xff\xff\xfe",
    ] {
        assert!(parse_sasl_initial(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn noise_never_panics() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let _ = peek_first(bytes);
        let _ = parse_packet(bytes);
        let _ = parse_packet(&packet(3 << 16, bytes));
        let _ = parse_packet(&packet(CANCEL_CODE, bytes));
        let _ = parse_options(bytes);
        let _ = parse_password(bytes);
        let _ = parse_sasl_initial(bytes);
    });
}
