//! SCRAM-SHA-256, both sides, without channel binding.
//!
//! Owns: keys, stored secrets, the message grammar and the two exchanges. Never: I/O, PBKDF2 behind
//! the caller's back (it is named [`derive_keys`] or hidden behind [`KeyCache::derive`], both to be
//! called off the lane). Sources: RFC 5802, RFC 7677; PostgreSQL's reading of them where it differs
//! (the user name in the message is ignored, passwords that SASLprep refuses are used as they are).

mod cache;
mod client;
mod message;
mod server;
#[cfg(test)]
mod tests;

pub use cache::KeyCache;
pub use client::{ClientChallenge, ClientExchange, ClientVerifier};
pub use message::nonce;
pub use server::{ServerExchange, ServerSuccess};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::fmt;
use subtle::ConstantTimeEq as _;

/// The mechanism's name on the wire. COMPAT: no -PLUS on either side (surface 6.8).
pub const MECHANISM: &str = "SCRAM-SHA-256";

/// Most iterations we are ready to compute for a server's challenge or a stored secret. Half a
/// second of one core; without a bound a hostile server could hold a thread for minutes.
pub const MAX_ITERATIONS: u32 = 1_000_000;

/// Longest SASL message taken, as in PostgreSQL (PG_MAX_SASL_MESSAGE_LENGTH).
pub const MAX_MESSAGE: usize = 1024;

/// Length of a SHA-256 sum and of every key.
pub const KEY_LEN: usize = 32;

/// One key or sum.
pub type Key = [u8; KEY_LEN];

/// Why an exchange ended. The peer's mistakes are told apart for the log; a client always gets the
/// same text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// A message that does not follow the grammar.
    #[error("malformed SCRAM message: {0}")]
    Malformed(&'static str),
    /// Something RFC 5802 allows and we (and PostgreSQL) do not offer.
    #[error("unsupported in SCRAM: {0}")]
    Unsupported(&'static str),
    /// The proof is wrong, or there is no such user.
    #[error("SCRAM proof does not match")]
    WrongProof,
    /// The server could not prove that it knows the secret: it is not who it says.
    #[error("server signature does not match: the server does not know the password")]
    WrongServer,
    /// The server answered the exchange with an error of its own (`e=`).
    #[error("server refused the SCRAM exchange")]
    Refused,
    /// The server asks for more iterations than [`MAX_ITERATIONS`], or for none.
    #[error("SCRAM iteration count out of range")]
    Iterations,
    /// Keys captured from a client do not belong to the server's salt and iterations.
    #[error("SCRAM keys of the client's login do not fit the server's secret")]
    ForeignKeys,
    /// The system gave no random bytes.
    #[error("no random bytes from the system")]
    Random,
}

/// What a password yields under one salt and iteration count: enough to log in with.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    /// Proves the client's identity; `stored_key` is its sum.
    pub client_key: Key,
    /// Proves the server's identity.
    pub server_key: Key,
}

/// Keys captured while a client logged in, for logging in to a server whose secret is the same
/// (pass-through, surface 6.8).
#[derive(Clone, PartialEq, Eq)]
pub struct CapturedKeys {
    /// Client and server key.
    pub keys: ScramKeys,
    /// Salt the keys belong to.
    pub salt: Box<[u8]>,
    /// Iteration count the keys belong to.
    pub iterations: u32,
}

/// A stored secret: enough to check a login, not enough to log in with.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramSecret {
    /// PBKDF2 rounds, at least 1.
    pub iterations: u32,
    /// Salt, any length from 1.
    pub salt: Box<[u8]>,
    /// Sum of the client key.
    pub stored_key: Key,
    /// Server key.
    pub server_key: Key,
}

macro_rules! hidden_debug {
    ($($name:ident),*) => {
        $(impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(hidden)"))
            }
        })*
    };
}
hidden_debug!(ScramKeys, CapturedKeys, ScramSecret);

impl ScramSecret {
    /// Reads `SCRAM-SHA-256$iterations:salt$stored:server`; `None` when it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (method, rest) = text.split_once('$')?;
        let (derivation, keys) = rest.split_once('$')?;
        let (iterations, salt) = derivation.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        if method != MECHANISM || !iterations.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let iterations = iterations.parse().ok().filter(|n| *n > 0)?;
        let salt = BASE64.decode(salt).ok().filter(|s| !s.is_empty())?;
        Some(Self {
            iterations,
            salt: salt.into_boxed_slice(),
            stored_key: BASE64.decode(stored).ok()?.try_into().ok()?,
            server_key: BASE64.decode(server).ok()?.try_into().ok()?,
        })
    }

    /// The secret that belongs to derived keys.
    pub fn from_keys(keys: &ScramKeys, salt: &[u8], iterations: u32) -> Self {
        Self {
            iterations,
            salt: salt.into(),
            stored_key: sum(&keys.client_key),
            server_key: keys.server_key,
        }
    }

    /// Checks a clear-text password; PBKDF2 unless `cache` has the keys.
    pub fn verify_password(&self, password: &[u8], cache: &KeyCache) -> bool {
        if self.iterations > MAX_ITERATIONS {
            return false;
        }
        let keys = cache.derive(password, &self.salt, self.iterations);
        bool::from(sum(&keys.client_key).ct_eq(&self.stored_key))
    }
}

/// Derives the keys of a password: `iterations` times two SHA-256 blocks, so 1 to 3 ms for the
/// usual 4096. Not for a lane; see [`KeyCache`].
pub fn derive_keys(password: &[u8], salt: &[u8], iterations: u32) -> ScramKeys {
    let salted = pbkdf2(&prepared(password), salt, iterations);
    ScramKeys {
        client_key: hmac(&salted, &[b"Client Key"]),
        server_key: hmac(&salted, &[b"Server Key"]),
    }
}

/// SASLprep, or the bytes as they are where it does not apply (not UTF-8, prohibited characters,
/// nothing left), as PostgreSQL and libpq do.
fn prepared(password: &[u8]) -> Cow<'_, [u8]> {
    if password.is_ascii() {
        return Cow::Borrowed(password);
    }
    match std::str::from_utf8(password).map(stringprep::saslprep) {
        Ok(Ok(text)) if !text.is_empty() => Cow::Owned(text.into_owned().into_bytes()),
        _ => Cow::Borrowed(password),
    }
}

/// One block of PBKDF2-HMAC-SHA-256. The keyed state is computed once and cloned per round: two
/// compressions a round instead of four.
fn pbkdf2(password: &[u8], salt: &[u8], iterations: u32) -> Key {
    let state = keyed(password);
    let mut first = state.clone();
    first.update(salt);
    first.update(&1u32.to_be_bytes());
    let mut block = first.finalize().into_bytes();
    let mut out: Key = block.into();
    for _ in 1..iterations {
        let mut round = state.clone();
        round.update(&block);
        block = round.finalize().into_bytes();
        for (o, b) in out.iter_mut().zip(block) {
            *o ^= b;
        }
    }
    out
}

/// HMAC state for a key of any length; RFC 2104's padding done here so that it cannot fail.
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    let mut padded = [0u8; 64];
    if key.len() > padded.len() {
        padded[..KEY_LEN].copy_from_slice(&sum(key));
    } else {
        padded[..key.len()].copy_from_slice(key);
    }
    Hmac::<Sha256>::new(&padded.into())
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Key {
    let mut state = keyed(key);
    for part in parts {
        state.update(part);
    }
    state.finalize().into_bytes().into()
}

fn sum(bytes: &[u8]) -> Key {
    Sha256::digest(bytes).into()
}

fn xor(a: &Key, b: &Key) -> Key {
    std::array::from_fn(|i| a[i] ^ b[i])
}
