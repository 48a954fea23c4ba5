//! What a stored secret is: plain text, md5 or SCRAM, told apart as PostgreSQL does.
//!
//! Owns: the recognition. Never: where secrets come from, logging. COMPAT: a secret that looks
//! like md5 or SCRAM but is malformed is a plain-text password (surface 1.7).

use super::md5::{self, HexSum};
use super::scram::{KeyCache, ScramSecret};
use std::fmt;
use std::sync::Arc;
use subtle::ConstantTimeEq as _;

/// A secret of `userlist.txt`, a `password=` or an auth_query row, by its form.
#[derive(Clone)]
pub enum SecretKind {
    /// Nothing: the user exists (trust) and can never pass a password method.
    Empty,
    /// The password itself.
    Plain(Arc<str>),
    /// `md5` and 32 hex digits; the digits.
    Md5(HexSum),
    /// `SCRAM-SHA-256$iterations:salt$stored:server`.
    Scram(Arc<ScramSecret>),
}

impl SecretKind {
    /// Recognises the form of `text`; never fails, since everything else is a plain password.
    pub fn parse(text: &str) -> Self {
        if text.is_empty() {
            return SecretKind::Empty;
        }
        if let Some(digits) = text.strip_prefix("md5")
            && let Ok(sum) = HexSum::try_from(digits.as_bytes())
            && sum.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        {
            return SecretKind::Md5(sum);
        }
        match ScramSecret::parse(text) {
            Some(secret) => SecretKind::Scram(Arc::new(secret)),
            None => SecretKind::Plain(Arc::from(text)),
        }
    }

    /// Checks a password that arrived in clear text (`auth_type = plain`). For a SCRAM secret this
    /// runs PBKDF2 unless `cache` knows the password: see [`SecretKind::is_slow`].
    pub fn verify_password(&self, user: &[u8], password: &[u8], cache: &KeyCache) -> bool {
        if password.is_empty() {
            return false;
        }
        match self {
            SecretKind::Empty => false,
            SecretKind::Plain(known) => bool::from(known.as_bytes().ct_eq(password)),
            SecretKind::Md5(sum) => bool::from(md5::hash(user, password).ct_eq(sum)),
            SecretKind::Scram(secret) => secret.verify_password(password, cache),
        }
    }

    /// Does [`SecretKind::verify_password`] cost milliseconds, so that it belongs off the lane?
    pub fn is_slow(&self, password: &[u8], cache: &KeyCache) -> bool {
        match self {
            SecretKind::Scram(s) => cache.cached(password, &s.salt, s.iterations).is_none(),
            _ => false,
        }
    }
}

impl fmt::Debug for SecretKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SecretKind::Empty => "Empty",
            SecretKind::Plain(_) => "Plain(hidden)",
            SecretKind::Md5(_) => "Md5(hidden)",
            SecretKind::Scram(_) => "Scram(hidden)",
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SCRAM: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
        WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

    #[test]
    fn forms() {
        let cases: &[(&str, &str)] = &[
            ("", "Empty"),
            ("secret", "Plain(hidden)"),
            ("md5", "Plain(hidden)"),
            ("md5900150983cd24fb0d6963f7d28e17f72", "Md5(hidden)"),
            ("md5900150983cd24fb0d6963f7d28e17f7", "Plain(hidden)"),
            ("md5900150983CD24FB0D6963F7D28E17F72", "Plain(hidden)"),
            ("SCRAM-SHA-256$", "Plain(hidden)"),
            ("SCRAM-SHA-256$x:AA==$AA==:AA==", "Plain(hidden)"),
            (SCRAM, "Scram(hidden)"),
            (&SCRAM[..SCRAM.len() - 4], "Plain(hidden)"),
        ];
        for (text, want) in cases {
            assert_eq!(format!("{:?}", SecretKind::parse(text)), *want, "{text}");
        }
    }

    #[test]
    fn clear_text_against_each_form() {
        let cache = KeyCache::open().unwrap();
        let sum = md5::hash(b"odoo", b"pencil");
        let md5_text = format!("md5{}", String::from_utf8_lossy(&sum));
        for text in ["pencil", &md5_text, SCRAM] {
            let secret = SecretKind::parse(text);
            assert!(secret.verify_password(b"odoo", b"pencil", &cache), "{text}");
            assert!(!secret.verify_password(b"odoo", b"pencils", &cache));
            assert!(!secret.verify_password(b"odoo", b"", &cache));
            assert!(!secret.is_slow(b"pencil", &cache));
        }
        assert!(!SecretKind::Empty.verify_password(b"odoo", b"", &cache));
    }
}
