//! Exchanges against each other, against RFC 7677 and against tampering.
#![allow(clippy::unwrap_used)]

use super::*;
use std::sync::Arc;

const RFC_FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const RFC_SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const RFC_SERVER_FIRST: &str =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const RFC_CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
    p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const RFC_SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn rfc_secret() -> (ScramKeys, Arc<ScramSecret>) {
    let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let keys = derive_keys(b"pencil", &salt, 4096);
    let secret = ScramSecret::from_keys(&keys, &salt, 4096);
    (keys, Arc::new(secret))
}

#[test]
fn rfc_7677_both_sides() {
    let (keys, secret) = rfc_secret();
    let (server, reply) =
        ServerExchange::start_with_nonce(RFC_FIRST, secret.clone(), false, RFC_SERVER_NONCE)
            .unwrap();
    assert_eq!(reply, RFC_SERVER_FIRST.as_bytes());
    let (client, first) = ClientExchange::start_with_nonce("user", "rOprNGfwEbeRWgbNEkqO");
    assert_eq!(first, RFC_FIRST);
    let (verifier, last) = client.challenge(&reply).unwrap().respond(&keys);
    assert_eq!(last, RFC_CLIENT_FINAL.as_bytes());
    let success = server.finish(&last).unwrap();
    assert_eq!(success.message, RFC_SERVER_FINAL.as_bytes());
    verifier.verify(&success.message).unwrap();
    assert!(success.captured.keys == keys);
}

#[test]
fn captured_keys_log_in_elsewhere() {
    let (_, secret) = rfc_secret();
    let (server, _) =
        ServerExchange::start_with_nonce(RFC_FIRST, secret.clone(), false, RFC_SERVER_NONCE)
            .unwrap();
    let captured = server.finish(RFC_CLIENT_FINAL.as_bytes()).unwrap().captured;

    let (client, first) = ClientExchange::start().unwrap();
    let (server, reply) = ServerExchange::start(&first, secret, false).unwrap();
    let challenge = client.challenge(&reply).unwrap();
    let (verifier, last) = challenge.respond_captured(&captured).unwrap();
    verifier
        .verify(&server.finish(&last).unwrap().message)
        .unwrap();

    let other = Arc::new(KeyCache::open().unwrap().secret(b"user", b"pencil", 4096));
    let (client, first) = ClientExchange::start().unwrap();
    let (_, reply) = ServerExchange::start(&first, other, false).unwrap();
    let refused = client
        .challenge(&reply)
        .unwrap()
        .respond_captured(&captured);
    assert_eq!(refused.unwrap_err(), ScramError::ForeignKeys);
}

fn login(secret: ScramSecret, password: &[u8], is_mock: bool) -> Result<(), ScramError> {
    let (client, first) = ClientExchange::start().unwrap();
    let (server, reply) = ServerExchange::start(&first, Arc::new(secret), is_mock).unwrap();
    let challenge = client.challenge(&reply).unwrap();
    let keys = derive_keys(password, challenge.salt(), challenge.iterations());
    let (verifier, last) = challenge.respond(&keys);
    verifier.verify(&server.finish(&last)?.message)
}

#[test]
fn passwords_right_wrong_and_mock() {
    let cache = KeyCache::open().unwrap();
    // The second is U+2168, which SASLprep turns into "IX"; the last two it cannot touch.
    let passwords: &[&[u8]] = &[b"pencil", "\u{2168}".as_bytes(), b"\xff\xfe", b"a\x07b"];
    for password in passwords {
        let secret = cache.secret(b"odoo", password, 64);
        assert_eq!(login(secret.clone(), password, false), Ok(()));
        assert_eq!(
            login(secret.clone(), b"other", false),
            Err(ScramError::WrongProof)
        );
        assert_eq!(login(secret, password, true), Err(ScramError::WrongProof));
    }
    let prepared = cache.secret(b"odoo", "\u{2168}".as_bytes(), 64);
    assert_eq!(login(prepared, b"IX", false), Ok(()));
    assert_eq!(
        login(cache.mock(b"nobody", 64), b"pencil", true),
        Err(ScramError::WrongProof)
    );
}

#[test]
fn mock_looks_like_a_plain_entry_and_repeats_itself() {
    let cache = KeyCache::open().unwrap();
    let mock = cache.mock(b"odoo", 4096);
    let real = cache.secret(b"odoo", b"pencil", 4096);
    assert_eq!(mock.salt, cache.mock(b"odoo", 4096).salt);
    assert_eq!(mock.salt, real.salt);
    assert_ne!(mock.salt, cache.mock(b"other", 4096).salt);
    assert_ne!(
        mock.salt,
        KeyCache::open().unwrap().mock(b"odoo", 4096).salt
    );
}

#[test]
fn derivation_happens_once() {
    let cache = KeyCache::open().unwrap();
    assert!(cache.cached_secret(b"odoo", b"pencil", 64).is_none());
    cache.secret(b"odoo", b"pencil", 64);
    assert!(cache.cached_secret(b"odoo", b"pencil", 64).is_some());
    assert!(cache.cached_secret(b"odoo", b"pencil", 65).is_none());
    assert!(cache.cached_secret(b"odoo", b"penci", 64).is_none());
}

#[test]
fn client_first_nasty_cases() {
    use ScramError::{Malformed, Unsupported};
    let cases: &[(&str, &[u8], ScramError)] = &[
        ("empty", b"", Malformed("length")),
        ("too long", &[b'n'; 1025], Malformed("length")),
        ("zero byte", b"n,,n=,r=a\0", Malformed("zero byte")),
        ("not UTF-8", b"n,,n=\xff,r=a", Malformed("not UTF-8")),
        ("no comma", b"n", Malformed("channel binding flag")),
        (
            "unknown flag",
            b"x,,n=,r=a",
            Malformed("channel binding flag"),
        ),
        (
            "plus",
            b"p=tls-unique,,n=,r=a",
            Unsupported("channel binding"),
        ),
        (
            "identity",
            b"n,a=root,n=,r=a",
            Unsupported("authorization identity"),
        ),
        (
            "no second comma",
            b"n,n=",
            Malformed("authorization identity"),
        ),
        (
            "mandatory",
            b"n,,m=x,n=,r=a",
            Unsupported("mandatory extension"),
        ),
        (
            "mandatory later",
            b"n,,n=,r=a,m=x",
            Unsupported("mandatory extension"),
        ),
        ("no user", b"n,,r=a", Malformed("n")),
        ("no nonce", b"n,,n=user", Malformed("r")),
        ("empty nonce", b"n,,n=,r=", Malformed("nonce")),
        ("blank in nonce", b"n,,n=,r=a b", Malformed("nonce")),
        ("garbage after", b"n,,n=,r=a,", Malformed("extension")),
    ];
    let (_, secret) = rfc_secret();
    for (name, bytes, want) in cases {
        let got = ServerExchange::start(bytes, secret.clone(), false);
        assert_eq!(got.unwrap_err(), *want, "{name}");
    }
    for fine in [&b"y,,n=,r=a"[..], b"n,,n=a=2Cb,r=a,x=1"] {
        ServerExchange::start(fine, secret.clone(), false).unwrap();
    }
}

#[test]
fn client_final_nasty_cases() {
    use ScramError::{Malformed, Unsupported, WrongProof};
    let good = RFC_CLIENT_FINAL;
    let cases: &[(&str, String, ScramError)] = &[
        ("empty", String::new(), Malformed("length")),
        ("no proof", "c=biws".into(), Malformed("no proof")),
        (
            "binding of y",
            good.replace("biws", "eSws"),
            Malformed("channel binding data"),
        ),
        (
            "nonce changed",
            good.replace("r=rO", "r=rP"),
            Malformed("nonce"),
        ),
        (
            "nonce cut",
            good.replace("F$k0,", "F$k,"),
            Malformed("nonce"),
        ),
        (
            "proof cut",
            good.replace("dVQ=", ""),
            Malformed("proof or signature"),
        ),
        (
            "proof short",
            good.replace("dHzbZapW", ""),
            Malformed("proof or signature"),
        ),
        ("proof changed", good.replace("p=dH", "p=eH"), WrongProof),
        (
            "mandatory",
            good.replace(",p=", ",m=1,p="),
            Unsupported("mandatory extension"),
        ),
        (
            "extension unsigned",
            good.replace(",p=", ",x=1,p="),
            WrongProof,
        ),
        ("garbage after", format!("{good},x=1"), Malformed("p")),
        (
            "line end",
            format!("{good}\n"),
            Malformed("proof or signature"),
        ),
    ];
    let (_, secret) = rfc_secret();
    for (name, text, want) in cases {
        let (server, _) =
            ServerExchange::start_with_nonce(RFC_FIRST, secret.clone(), false, RFC_SERVER_NONCE)
                .unwrap();
        assert_eq!(server.finish(text.as_bytes()).unwrap_err(), *want, "{name}");
    }
}

#[test]
fn servers_nasty_cases() {
    use ScramError::{Iterations, Malformed, Unsupported};
    let good = RFC_SERVER_FIRST;
    let cases: &[(&str, String, ScramError)] = &[
        ("empty", String::new(), Malformed("length")),
        (
            "foreign nonce",
            good.replace("r=rO", "r=rP"),
            Malformed("nonce"),
        ),
        (
            "our nonce alone",
            good.replace(RFC_SERVER_NONCE, ""),
            Malformed("nonce"),
        ),
        (
            "no salt",
            good.replace("W22ZaJ0SNY7soEsUEjb6gQ==", ""),
            Malformed("salt"),
        ),
        ("bad salt", good.replace("W22", "!22"), Malformed("salt")),
        ("zero rounds", good.replace("i=4096", "i=0"), Iterations),
        (
            "negative",
            good.replace("i=4096", "i=-1"),
            Malformed("iteration count"),
        ),
        (
            "no rounds",
            good.replace("i=4096", "i="),
            Malformed("iteration count"),
        ),
        (
            "a minute of work",
            good.replace("i=4096", "i=100000000"),
            Iterations,
        ),
        (
            "overflow",
            good.replace("i=4096", "i=99999999999999999999"),
            Iterations,
        ),
        (
            "mandatory",
            format!("m=1,{good}"),
            Unsupported("mandatory extension"),
        ),
    ];
    for (name, text, want) in cases {
        let (client, _) = ClientExchange::start_with_nonce("", "rOprNGfwEbeRWgbNEkqO");
        assert_eq!(
            client.challenge(text.as_bytes()).unwrap_err(),
            *want,
            "{name}"
        );
    }
    let (keys, _) = rfc_secret();
    let finals: &[(&str, &str, ScramError)] = &[
        ("refusal", "e=other-error", ScramError::Refused),
        (
            "wrong server",
            &RFC_SERVER_FINAL.replace("v=6", "v=7"),
            ScramError::WrongServer,
        ),
        ("no signature", "v=", Malformed("proof or signature")),
        ("nonsense", "hello", Malformed("v")),
    ];
    for (name, text, want) in finals {
        let (client, _) = ClientExchange::start_with_nonce("user", "rOprNGfwEbeRWgbNEkqO");
        let (verifier, _) = client.challenge(good.as_bytes()).unwrap().respond(&keys);
        assert_eq!(
            verifier.verify(text.as_bytes()).unwrap_err(),
            *want,
            "{name}"
        );
    }
}

#[test]
fn long_passwords_are_hashed_first() {
    // RFC 4231 test case 6: a key longer than the block.
    let key = [0xaa; 131];
    let got = hmac(
        &key,
        &[b"Test Using Larger Than Block-Size Key - Hash Key First"],
    );
    assert_eq!(&got[..4], &[0x60, 0xe4, 0x31, 0x59]);
}

#[test]
fn nothing_secret_is_printed() {
    let (keys, secret) = rfc_secret();
    assert_eq!(
        format!("{keys:?} {secret:?}"),
        "ScramKeys(hidden) ScramSecret(hidden)"
    );
    let cache = KeyCache::open().unwrap();
    assert_eq!(format!("{cache:?}"), "KeyCache { entries: 0, .. }");
}

#[test]
fn noise_never_panics() {
    let (keys, secret) = rfc_secret();
    bolero::check!().for_each(|bytes: &[u8]| {
        let _ = ServerExchange::start(bytes, secret.clone(), false);
        let started =
            ServerExchange::start_with_nonce(RFC_FIRST, secret.clone(), false, RFC_SERVER_NONCE);
        let (server, _) = started.unwrap();
        assert!(server.finish(bytes).is_err());
        let (client, _) = ClientExchange::start_with_nonce("", "abc");
        let _ = client
            .challenge(bytes)
            .map(|c| c.respond(&keys).0.verify(bytes));
        let _ = ScramSecret::parse(&String::from_utf8_lossy(bytes));
    });
}
