//! Password proofs, written independently of the pooler: md5 and SCRAM-SHA-256 (RFC 5802, 7677).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use md5::Digest as _;
use sha2::Sha256;

/// PostgreSQL's md5 secret: `md5` + md5(password + user).
pub fn md5_secret(user: &str, password: &str) -> String {
    format!(
        "md5{}",
        hex(&md5::Md5::digest(format!("{password}{user}").as_bytes()))
    )
}

/// The answer to an md5 challenge.
pub fn md5_answer(user: &str, password: &str, salt: &[u8]) -> String {
    let secret = md5_secret(user, password);
    let mut bytes = secret.as_bytes()[3..].to_vec();
    bytes.extend_from_slice(salt);
    format!("md5{}", hex(&md5::Md5::digest(&bytes)))
}

/// A SCRAM secret as PostgreSQL stores it.
pub fn scram_secret(password: &str, salt: &[u8], rounds: u32) -> String {
    let salted = salted(password, salt, rounds);
    let stored = sha256(&hmac(&salted, b"Client Key"));
    let server = hmac(&salted, b"Server Key");
    let (salt, stored, server) = (
        BASE64.encode(salt),
        BASE64.encode(stored),
        BASE64.encode(server),
    );
    format!("SCRAM-SHA-256${rounds}:{salt}${stored}:{server}")
}

/// A client's half of one SCRAM exchange.
pub struct Scram {
    password: String,
    nonce: String,
    first_bare: String,
    server_signature: Vec<u8>,
}

impl Scram {
    pub fn new(password: &str) -> Self {
        let mut random = [0_u8; 18];
        getrandom::fill(&mut random).expect("random bytes");
        let nonce = BASE64.encode(random);
        let first_bare = format!("n=,r={nonce}");
        Self {
            password: password.to_owned(),
            nonce,
            first_bare,
            server_signature: Vec::new(),
        }
    }

    /// client-first-message
    pub fn first(&self) -> String {
        format!("n,,{}", self.first_bare)
    }

    /// client-final-message for the server's first one; `None` when that makes no sense.
    pub fn last(&mut self, server_first: &str) -> Option<String> {
        let field = |key: &str| {
            server_first
                .split(',')
                .find_map(|part| part.strip_prefix(key))
        };
        let (nonce, salt, rounds) = (field("r=")?, field("s=")?, field("i=")?);
        if !nonce.starts_with(&self.nonce) {
            return None;
        }
        let salted = salted(
            &self.password,
            &BASE64.decode(salt).ok()?,
            rounds.parse().ok()?,
        );
        let without_proof = format!("c=biws,r={nonce}");
        let message = format!("{},{server_first},{without_proof}", self.first_bare);
        let client_key = hmac(&salted, b"Client Key");
        let signature = hmac(&sha256(&client_key), message.as_bytes());
        let proof: Vec<u8> = client_key
            .iter()
            .zip(signature)
            .map(|(a, b)| a ^ b)
            .collect();
        self.server_signature = hmac(&hmac(&salted, b"Server Key"), message.as_bytes());
        Some(format!("{without_proof},p={}", BASE64.encode(proof)))
    }

    /// Whether the server proved that it knows the secret.
    pub fn proves(&self, server_last: &str) -> bool {
        server_last
            .strip_prefix("v=")
            .and_then(|text| BASE64.decode(text).ok())
            == Some(self.server_signature.clone())
    }
}

fn salted(password: &str, salt: &[u8], rounds: u32) -> Vec<u8> {
    let mut block = salt.to_vec();
    block.extend_from_slice(&1_u32.to_be_bytes());
    let mut last = hmac(password.as_bytes(), &block);
    let mut result = last.clone();
    for _ in 1..rounds {
        last = hmac(password.as_bytes(), &last);
        for (sum, byte) in result.iter_mut().zip(&last) {
            *sum ^= byte;
        }
    }
    result
}

fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is a key");
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

fn sha256(data: &[u8]) -> Vec<u8> {
    Sha256::digest(data).to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
