//! The grammar of SCRAM messages (RFC 5802 section 7), strict and without panics.
//!
//! Owns: splitting and checking. Never: keys, verdicts about identity.

use super::{BASE64, Key, MAX_ITERATIONS, MAX_MESSAGE, ScramError};
use base64::Engine as _;

/// Raw bytes behind a nonce: 18, so that base64 has no padding (PostgreSQL uses the same).
const NONCE_BYTES: usize = 18;

/// A fresh nonce of 24 printable characters.
pub fn nonce() -> Result<String, ScramError> {
    let mut raw = [0; NONCE_BYTES];
    getrandom::fill(&mut raw).map_err(|_| ScramError::Random)?;
    Ok(BASE64.encode(raw))
}

/// client-first-message, taken apart.
#[derive(Debug)]
pub(super) struct ClientFirst<'a> {
    /// What `c=` of the final message must be: base64 of the gs2 header.
    pub binding: &'static str,
    /// client-first-message-bare.
    pub bare: &'a str,
    /// The client's nonce.
    pub nonce: &'a str,
}

/// client-final-message, taken apart.
#[derive(Debug)]
pub(super) struct ClientFinal<'a> {
    /// Everything before `,p=`.
    pub without_proof: &'a str,
    /// Value of `c=`.
    pub binding: &'a str,
    /// Client and server nonce.
    pub nonce: &'a str,
    /// The proof.
    pub proof: Key,
}

/// server-first-message, taken apart.
#[derive(Debug)]
pub(super) struct ServerFirst<'a> {
    /// Client and server nonce.
    pub nonce: &'a str,
    /// Salt, not empty.
    pub salt: Box<[u8]>,
    /// 1 to [`MAX_ITERATIONS`].
    pub iterations: u32,
}

/// Takes a message as text: bounded, ASCII or UTF-8, without zero bytes.
pub(super) fn text(message: &[u8]) -> Result<&str, ScramError> {
    if message.is_empty() || message.len() > MAX_MESSAGE {
        return Err(ScramError::Malformed("length"));
    }
    if message.contains(&0) {
        return Err(ScramError::Malformed("zero byte"));
    }
    std::str::from_utf8(message).map_err(|_| ScramError::Malformed("not UTF-8"))
}

/// Parses client-first-message: gs2 header, `n=`, `r=`, extensions that are skipped.
pub(super) fn client_first(message: &str) -> Result<ClientFirst<'_>, ScramError> {
    let (flag, rest) = split(message, "channel binding flag")?;
    let binding = match flag {
        "n" => "biws",
        // The client could do channel binding and believes that we cannot: true.
        "y" => "eSws",
        _ if flag.starts_with("p=") => return Err(ScramError::Unsupported("channel binding")),
        _ => return Err(ScramError::Malformed("channel binding flag")),
    };
    let (identity, bare) = split(rest, "authorization identity")?;
    if !identity.is_empty() {
        return Err(ScramError::Unsupported("authorization identity"));
    }
    let mut parts = bare.split(',');
    let user = parts.next().unwrap_or("");
    if user.starts_with("m=") {
        return Err(ScramError::Unsupported("mandatory extension"));
    }
    attribute(user, "n")?;
    let nonce = attribute(parts.next().unwrap_or(""), "r")?;
    check_nonce(nonce)?;
    for part in parts {
        extension(part)?;
    }
    Ok(ClientFirst {
        binding,
        bare,
        nonce,
    })
}

/// Parses client-final-message: `c=`, `r=`, extensions, `p=` last.
pub(super) fn client_final(message: &str) -> Result<ClientFinal<'_>, ScramError> {
    let (without_proof, proof) = message
        .rsplit_once(',')
        .ok_or(ScramError::Malformed("no proof"))?;
    let mut parts = without_proof.split(',');
    let binding = attribute(parts.next().unwrap_or(""), "c")?;
    let nonce = attribute(parts.next().unwrap_or(""), "r")?;
    for part in parts {
        extension(part)?;
    }
    Ok(ClientFinal {
        without_proof,
        binding,
        nonce,
        proof: key(attribute(proof, "p")?)?,
    })
}

/// Parses server-first-message: `r=`, `s=`, `i=`, extensions that are skipped.
pub(super) fn server_first(message: &str) -> Result<ServerFirst<'_>, ScramError> {
    if message.starts_with("m=") {
        return Err(ScramError::Unsupported("mandatory extension"));
    }
    let mut parts = message.split(',');
    let nonce = attribute(parts.next().unwrap_or(""), "r")?;
    check_nonce(nonce)?;
    let salt = BASE64
        .decode(attribute(parts.next().unwrap_or(""), "s")?)
        .map_err(|_| ScramError::Malformed("salt"))?;
    if salt.is_empty() {
        return Err(ScramError::Malformed("salt"));
    }
    let count = attribute(parts.next().unwrap_or(""), "i")?;
    if count.is_empty() || !count.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ScramError::Malformed("iteration count"));
    }
    let iterations = count
        .parse()
        .ok()
        .filter(|n| (1..=MAX_ITERATIONS).contains(n))
        .ok_or(ScramError::Iterations)?;
    for part in parts {
        extension(part)?;
    }
    Ok(ServerFirst {
        nonce,
        salt: salt.into_boxed_slice(),
        iterations,
    })
}

/// Parses server-final-message: the signature of `v=`, or the server's refusal `e=`.
pub(super) fn server_final(message: &str) -> Result<Key, ScramError> {
    let first = message.split(',').next().unwrap_or("");
    if first.starts_with("e=") {
        return Err(ScramError::Refused);
    }
    key(attribute(first, "v")?)
}

fn split<'a>(text: &'a str, what: &'static str) -> Result<(&'a str, &'a str), ScramError> {
    text.split_once(',').ok_or(ScramError::Malformed(what))
}

fn attribute<'a>(part: &'a str, name: &'static str) -> Result<&'a str, ScramError> {
    part.strip_prefix(name)
        .and_then(|rest| rest.strip_prefix('='))
        .ok_or(ScramError::Malformed(name))
}

/// An attribute we do not know: one letter, `=`, anything. `m` must not be ignored (RFC 5802 5.1).
fn extension(part: &str) -> Result<(), ScramError> {
    match part.as_bytes() {
        [b'm', b'=', ..] => Err(ScramError::Unsupported("mandatory extension")),
        [name, b'=', ..] if name.is_ascii_alphabetic() => Ok(()),
        _ => Err(ScramError::Malformed("extension")),
    }
}

fn check_nonce(nonce: &str) -> Result<(), ScramError> {
    if nonce.is_empty() || !nonce.bytes().all(|b| (0x21..=0x7e).contains(&b)) {
        return Err(ScramError::Malformed("nonce"));
    }
    Ok(())
}

fn key(text: &str) -> Result<Key, ScramError> {
    let wrong = ScramError::Malformed("proof or signature");
    let raw = BASE64.decode(text).map_err(|_| wrong)?;
    raw.try_into().map_err(|_| wrong)
}
