//! The md5 password method: `md5` + hex(md5(hex(md5(password + user)) + salt)).
//!
//! Owns: the two hashes and their comparison. Never: I/O. Source: PostgreSQL chapter
//! "Message Flow", AuthenticationMD5Password.

use super::SecretKind;
use ::md5::{Digest as _, Md5};
use subtle::ConstantTimeEq as _;

/// 32 lower-case hex digits of an md5 sum: what a stored secret has after `md5`.
pub type HexSum = [u8; 32];

/// The stored form of `password` for `user`, without the `md5` in front.
pub fn hash(user: &[u8], password: &[u8]) -> HexSum {
    hex_sum(&[password, user])
}

/// What the client answers to a challenge: `md5` and 32 hex digits.
pub fn response(stored: &HexSum, salt: [u8; 4]) -> [u8; 35] {
    let mut out = *b"md5\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    out[3..].copy_from_slice(&hex_sum(&[stored, &salt]));
    out
}

/// Is `answer` (without its terminating zero) right for this secret? A SCRAM secret and an empty
/// one never match. Constant time in the answer's content.
pub fn verify(secret: &SecretKind, user: &[u8], salt: [u8; 4], answer: &[u8]) -> bool {
    let stored = match secret {
        SecretKind::Plain(password) => hash(user, password.as_bytes()),
        SecretKind::Md5(stored) => *stored,
        SecretKind::Scram(_) | SecretKind::Empty => return false,
    };
    bool::from(response(&stored, salt).as_slice().ct_eq(answer))
}

fn hex_sum(parts: &[&[u8]]) -> HexSum {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut state = Md5::new();
    for part in parts {
        state.update(part);
    }
    let mut out = [0; 32];
    for (pair, byte) in out.chunks_exact_mut(2).zip(state.finalize()) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_form_and_answer() {
        let stored = hash(b"odoo", b"secret");
        let text = format!("md5{}", String::from_utf8_lossy(&stored));
        assert_eq!(text.len(), 35);
        let answer = response(&stored, [1, 2, 3, 4]);
        for secret in ["secret", text.as_str()] {
            let secret = SecretKind::parse(secret);
            assert!(verify(&secret, b"odoo", [1, 2, 3, 4], &answer));
            assert!(!verify(&secret, b"odoo", [1, 2, 3, 5], &answer));
            assert!(!verify(&secret, b"odoo", [1, 2, 3, 4], &answer[..34]));
            assert!(!verify(&secret, b"odoo", [1, 2, 3, 4], b""));
        }
        assert!(!verify(
            &SecretKind::Empty,
            b"odoo",
            [1, 2, 3, 4],
            &response(&hash(b"odoo", b""), [1, 2, 3, 4])
        ));
    }

    #[test]
    fn known_sum() {
        assert_eq!(&hex_sum(&[b"abc"]), b"900150983cd24fb0d6963f7d28e17f72");
    }
}
