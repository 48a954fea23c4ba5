//! What a client is sent while it logs in: requests for proof and the welcome.
//!
//! Owns: the layout of these messages; everything is appended to a buffer of the caller, so that a
//! whole welcome goes out in one write. Never: I/O. Source: PostgreSQL "Message Formats".

use super::backend::{Status, tag};
use super::frame;

/// Tag of every Authentication message.
pub const AUTHENTICATION: u8 = b'R';
/// Tag of NegotiateProtocolVersion.
pub const NEGOTIATE_PROTOCOL_VERSION: u8 = b'v';
/// Protocol 3.0 as a version number.
pub const PROTOCOL_3_0: u32 = 3 << 16;

fn authentication(out: &mut Vec<u8>, code: u32, data: &[u8]) {
    out.push(AUTHENTICATION);
    out.extend_from_slice(&frame::length_field(4 + data.len()));
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(data);
}

/// AuthenticationOk.
pub fn authentication_ok(out: &mut Vec<u8>) {
    authentication(out, 0, &[]);
}

/// AuthenticationCleartextPassword.
pub fn authentication_cleartext(out: &mut Vec<u8>) {
    authentication(out, 3, &[]);
}

/// AuthenticationMD5Password.
pub fn authentication_md5(out: &mut Vec<u8>, salt: [u8; 4]) {
    authentication(out, 5, &salt);
}

/// AuthenticationSASL with one mechanism.
pub fn authentication_sasl(out: &mut Vec<u8>, mechanism: &str) {
    let mut list = Vec::with_capacity(mechanism.len() + 2);
    list.extend_from_slice(mechanism.as_bytes());
    // The end of the name and the end of the list.
    list.extend_from_slice(&[0, 0]);
    authentication(out, 10, &list);
}

/// AuthenticationSASLContinue.
pub fn authentication_sasl_continue(out: &mut Vec<u8>, data: &[u8]) {
    authentication(out, 11, data);
}

/// AuthenticationSASLFinal.
pub fn authentication_sasl_final(out: &mut Vec<u8>, data: &[u8]) {
    authentication(out, 12, data);
}

/// ParameterStatus. Neither string may hold a zero byte.
pub fn parameter_status(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.push(tag::PARAMETER_STATUS);
    out.extend_from_slice(&frame::length_field(name.len() + value.len() + 2));
    for text in [name, value] {
        out.extend_from_slice(text);
        out.push(0);
    }
}

/// BackendKeyData with our eight bytes: process id and secret of protocol 3.0.
pub fn backend_key_data(out: &mut Vec<u8>, key: u64) {
    frame::put(out, tag::BACKEND_KEY_DATA, &key.to_be_bytes());
}

/// NegotiateProtocolVersion: the version we speak, and the `_pq_.` options we do not know.
pub fn negotiate_protocol_version(out: &mut Vec<u8>, version: u32, unknown: &[&[u8]]) {
    let mut body = version.to_be_bytes().to_vec();
    let count = u32::try_from(unknown.len()).unwrap_or(u32::MAX);
    body.extend_from_slice(&count.to_be_bytes());
    for name in unknown {
        body.extend_from_slice(name);
        body.push(0);
    }
    frame::put(out, NEGOTIATE_PROTOCOL_VERSION, &body);
}

/// ReadyForQuery.
pub fn ready_for_query(out: &mut Vec<u8>, status: Status) {
    let byte = match status {
        Status::Idle => b'I',
        Status::InTransaction => b'T',
        Status::Failed => b'E',
    };
    frame::put(out, tag::READY_FOR_QUERY, &[byte]);
}

/// NoticeResponse with severity NOTICE and SQLSTATE 00000 (surface 5). A zero byte ends the text.
pub fn notice_response(out: &mut Vec<u8>, text: &str) {
    let text = text.split('\0').next().unwrap_or("");
    let mut body = Vec::with_capacity(text.len() + 20);
    for (field, value) in [(b'S', "NOTICE"), (b'C', "00000"), (b'M', text)] {
        body.push(field);
        body.extend_from_slice(value.as_bytes());
        body.push(0);
    }
    body.push(0);
    frame::put(out, tag::NOTICE, &body);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(make: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        make(&mut out);
        out
    }

    #[test]
    fn layouts() {
        let cases: &[(Vec<u8>, &[u8])] = &[
            (made(authentication_ok), b"R\0\0\0\x08\0\0\0\0"),
            (made(authentication_cleartext), b"R\0\0\0\x08\0\0\0\x03"),
            (
                made(|o| authentication_md5(o, *b"salt")),
                b"R\0\0\0\x0c\0\0\0\x05salt",
            ),
            (
                made(|o| authentication_sasl(o, "X")),
                b"R\0\0\0\x0b\0\0\0\x0aX\0\0",
            ),
            (
                made(|o| authentication_sasl_continue(o, b"ab")),
                b"R\0\0\0\x0a\0\0\0\x0bab",
            ),
            (
                made(|o| authentication_sasl_final(o, b"ab")),
                b"R\0\0\0\x0a\0\0\0\x0cab",
            ),
            (
                made(|o| parameter_status(o, b"a", b"bc")),
                b"S\0\0\0\x09a\0bc\0",
            ),
            (
                made(|o| backend_key_data(o, 1 << 32 | 2)),
                b"K\0\0\0\x0c\0\0\0\x01\0\0\0\x02",
            ),
            (
                made(|o| negotiate_protocol_version(o, PROTOCOL_3_0, &[b"_pq_.x"])),
                b"v\0\0\0\x13\0\x03\0\0\0\0\0\x01_pq_.x\0",
            ),
            (made(|o| ready_for_query(o, Status::Idle)), b"Z\0\0\0\x05I"),
            (
                made(|o| notice_response(o, "a\0b")),
                b"N\0\0\0\x17SNOTICE\0C00000\0Ma\0\0",
            ),
        ];
        for (got, want) in cases {
            assert_eq!(got, want);
        }
    }
}
