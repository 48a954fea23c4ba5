//! Our half when we log in to PostgreSQL, with a password or with keys captured from a client.
//!
//! Owns: one exchange in three steps. Never: I/O; PBKDF2 happens between the steps, in the caller's
//! hands ([`super::KeyCache::derive`]), because it must not run on a lane.

use super::{BASE64, CapturedKeys, Key, ScramError, ScramKeys, hmac, message, sum, xor};
use base64::Engine as _;
use std::fmt;
use subtle::ConstantTimeEq as _;

/// gs2 header: no channel binding, no authorization identity.
const GS2: &str = "n,,";
/// Its base64 form, which the final message repeats.
const GS2_BASE64: &str = "biws";

/// Step one: client-first-message is out.
pub struct ClientExchange {
    bare: String,
    nonce: String,
}

/// Step two: the server named its salt.
pub struct ClientChallenge {
    salt: Box<[u8]>,
    iterations: u32,
    /// client-first-message-bare `,` server-first-message `,` client-final-message-without-proof.
    transcript: String,
    without_proof: String,
}

/// Step three: the proof is out, the server's is awaited.
pub struct ClientVerifier {
    expected: Key,
}

impl ClientExchange {
    /// Gives the state and client-first-message. The user name is left empty: PostgreSQL takes it
    /// from the startup packet.
    pub fn start() -> Result<(Self, Vec<u8>), ScramError> {
        Ok(Self::start_with_nonce("", &message::nonce()?))
    }

    pub(super) fn start_with_nonce(user: &str, nonce: &str) -> (Self, Vec<u8>) {
        let bare = format!("n={user},r={nonce}");
        let first = format!("{GS2}{bare}").into_bytes();
        let nonce = nonce.to_owned();
        (Self { bare, nonce }, first)
    }

    /// Takes server-first-message: checks that it answers our nonce and that the work it asks for
    /// is bounded.
    pub fn challenge(self, server_first: &[u8]) -> Result<ClientChallenge, ScramError> {
        let reply = message::text(server_first)?;
        let first = message::server_first(reply)?;
        if !first.nonce.starts_with(&self.nonce) || first.nonce.len() == self.nonce.len() {
            return Err(ScramError::Malformed("nonce"));
        }
        let without_proof = format!("c={GS2_BASE64},r={}", first.nonce);
        Ok(ClientChallenge {
            salt: first.salt,
            iterations: first.iterations,
            transcript: format!("{},{reply},{without_proof}", self.bare),
            without_proof,
        })
    }
}

impl ClientChallenge {
    /// Salt for the derivation.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// Iterations for the derivation, 1 to [`super::MAX_ITERATIONS`].
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    /// Answers with derived keys: client-final-message and what checks the server's answer.
    pub fn respond(self, keys: &ScramKeys) -> (ClientVerifier, Vec<u8>) {
        let signed = [self.transcript.as_bytes()];
        let signature = hmac(&sum(&keys.client_key), &signed);
        let proof = BASE64.encode(xor(&signature, &keys.client_key));
        let last = format!("{},p={proof}", self.without_proof).into_bytes();
        let expected = hmac(&keys.server_key, &signed);
        (ClientVerifier { expected }, last)
    }

    /// Answers with keys captured from a client's login; [`ScramError::ForeignKeys`] when the
    /// server's secret has another salt or iteration count, since no proof could be right then.
    pub fn respond_captured(
        self,
        captured: &CapturedKeys,
    ) -> Result<(ClientVerifier, Vec<u8>), ScramError> {
        if captured.salt != self.salt || captured.iterations != self.iterations {
            return Err(ScramError::ForeignKeys);
        }
        Ok(self.respond(&captured.keys))
    }
}

impl ClientVerifier {
    /// Takes server-final-message. Without this step anybody could pose as the server.
    pub fn verify(self, server_final: &[u8]) -> Result<(), ScramError> {
        let signature = message::server_final(message::text(server_final)?)?;
        if bool::from(signature.ct_eq(&self.expected)) {
            Ok(())
        } else {
            Err(ScramError::WrongServer)
        }
    }
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
hidden_debug!(ClientExchange, ClientChallenge, ClientVerifier);
