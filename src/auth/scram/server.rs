//! Our half when a client logs in: client-first -> server-first, client-final -> server-final.
//!
//! Owns: one exchange. Never: I/O. A mock exchange (unknown user, a secret SCRAM cannot use) runs
//! through the same steps and always ends in [`ScramError::WrongProof`].

use super::{
    BASE64, CapturedKeys, Key, ScramError, ScramKeys, ScramSecret, hmac, message, sum, xor,
};
use base64::Engine as _;
use std::fmt;
use std::sync::Arc;
use subtle::ConstantTimeEq as _;

/// An exchange whose server-first-message is out.
pub struct ServerExchange {
    secret: Arc<ScramSecret>,
    is_mock: bool,
    binding: &'static str,
    /// client-first-message-bare `,` server-first-message.
    transcript: String,
    /// Both nonces.
    nonce: String,
}

/// A client that proved itself.
#[derive(Debug)]
pub struct ServerSuccess {
    /// server-final-message, for AuthenticationSASLFinal.
    pub message: Vec<u8>,
    /// What it takes to log in to a server with the same secret.
    pub captured: CapturedKeys,
}

impl ServerExchange {
    /// Takes client-first-message and gives the state and server-first-message. `is_mock` makes
    /// the exchange fail at its end whatever the proof.
    pub fn start(
        client_first: &[u8],
        secret: Arc<ScramSecret>,
        is_mock: bool,
    ) -> Result<(Self, Vec<u8>), ScramError> {
        Self::start_with_nonce(client_first, secret, is_mock, &message::nonce()?)
    }

    pub(super) fn start_with_nonce(
        client_first: &[u8],
        secret: Arc<ScramSecret>,
        is_mock: bool,
        server_nonce: &str,
    ) -> Result<(Self, Vec<u8>), ScramError> {
        let first = message::client_first(message::text(client_first)?)?;
        let nonce = format!("{}{server_nonce}", first.nonce);
        let reply = format!(
            "r={nonce},s={},i={}",
            BASE64.encode(&secret.salt),
            secret.iterations
        );
        let exchange = Self {
            is_mock,
            binding: first.binding,
            transcript: format!("{},{reply}", first.bare),
            nonce,
            secret,
        };
        Ok((exchange, reply.into_bytes()))
    }

    /// Takes client-final-message. [`ScramError::WrongProof`] for a wrong password and for a mock.
    pub fn finish(self, client_final: &[u8]) -> Result<ServerSuccess, ScramError> {
        let last = message::client_final(message::text(client_final)?)?;
        if last.binding != self.binding {
            return Err(ScramError::Malformed("channel binding data"));
        }
        if last.nonce != self.nonce {
            return Err(ScramError::Malformed("nonce"));
        }
        let signed = [
            self.transcript.as_bytes(),
            b",",
            last.without_proof.as_bytes(),
        ];
        let signature = hmac(&self.secret.stored_key, &signed);
        let client_key: Key = xor(&signature, &last.proof);
        let is_right = bool::from(sum(&client_key).ct_eq(&self.secret.stored_key));
        if !is_right || self.is_mock {
            return Err(ScramError::WrongProof);
        }
        let proof = hmac(&self.secret.server_key, &signed);
        Ok(ServerSuccess {
            message: format!("v={}", BASE64.encode(proof)).into_bytes(),
            captured: CapturedKeys {
                keys: ScramKeys {
                    client_key,
                    server_key: self.secret.server_key,
                },
                salt: self.secret.salt.clone(),
                iterations: self.secret.iterations,
            },
        })
    }
}

impl fmt::Debug for ServerExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerExchange(hidden)")
    }
}
