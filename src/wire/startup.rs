//! The first packets of a connection, which have a length and no tag, and the messages of a login
//! that a client sends.
//!
//! Owns: their layout. Never: I/O, panics, a view of what a parameter means. Sources: PostgreSQL
//! "Message Formats" (SSLRequest, GSSENCRequest, CancelRequest, StartupMessage, PasswordMessage,
//! SASLInitialResponse), `process_postgres_switches` for `options`; PgBouncer for the limits.

use super::frame::cstr;

#[cfg(test)]
mod tests;

/// Longest startup packet taken, in bytes, its length field included (surface 6.1).
pub const MAX_PACKET: usize = 65_535;
/// Shortest and longest secret of a CancelRequest; 4 up to protocol 3.0, more since 3.2.
const CANCEL_SECRET: std::ops::RangeInclusive<usize> = 4..=256;

const CANCEL_CODE: u32 = 80_877_102;
const SSL_CODE: u32 = 80_877_103;
const GSS_CODE: u32 = 80_877_104;
/// First byte of a TLS ClientHello; as a length it would be over 16 MB, so it cannot be confused.
const TLS_HANDSHAKE: u8 = 0x16;

/// What the start of a new connection's bytes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// Too short to tell.
    Short,
    /// TLS without SSLRequest (libpq's `sslnegotiation=direct`).
    DirectTls,
    /// An untyped packet of this many bytes, which may still be incomplete.
    Packet {
        /// Length in bytes, length field included: 8 to [`MAX_PACKET`].
        total: usize,
    },
    /// Neither: framing is lost.
    Bad,
}

/// One complete untyped packet.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// May I speak TLS?
    Ssl,
    /// May I speak GSSAPI encryption?
    Gss,
    /// Stop what the holder of this key is doing.
    Cancel(Cancel<'a>),
    /// Let me in.
    Startup(Startup<'a>),
}

/// The key of a CancelRequest, as it was handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancel<'a> {
    /// First four bytes.
    pub pid: u32,
    /// The rest, 4 to 256 bytes.
    pub secret: &'a [u8],
}

impl Cancel<'_> {
    /// The whole key as the eight bytes that we hand out; `None` when it cannot be one of ours.
    pub fn key(&self) -> Option<u64> {
        let secret = u32::from_be_bytes(self.secret.try_into().ok()?);
        Some(u64::from(self.pid) << 32 | u64::from(secret))
    }
}

/// A StartupMessage of protocol 3.
#[derive(Debug, PartialEq, Eq)]
pub struct Startup<'a> {
    /// Minor protocol version asked for.
    pub minor: u16,
    /// Names and values in the order in which they came; of duplicates the last counts.
    pub parameters: Parameters<'a>,
}

impl<'a> Startup<'a> {
    /// The last value given for this very name.
    pub fn get(&self, name: &[u8]) -> Option<&'a [u8]> {
        let mut backwards = self.parameters.iter().rev();
        backwards.find(|(key, _)| *key == name).map(|(_, v)| *v)
    }
}

/// Why a packet or a message is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A length that does not fit the kind of packet.
    #[error("length does not fit the packet")]
    Length,
    /// Protocol 2.
    #[error("protocol 2")]
    OldProtocol,
    /// A code or major version nobody defined.
    #[error("unknown code")]
    UnknownCode,
    /// Strings without their ends, or bytes after the end.
    #[error("layout")]
    Layout,
}

/// Looks at the first bytes of a connection.
pub fn peek_first(bytes: &[u8]) -> First {
    if bytes.first() == Some(&TLS_HANDSHAKE) {
        return First::DirectTls;
    }
    let Some(field) = bytes.first_chunk::<4>() else {
        return First::Short;
    };
    let total = u32::from_be_bytes(*field) as usize;
    if (8..=MAX_PACKET).contains(&total) {
        First::Packet { total }
    } else {
        First::Bad
    }
}

/// Reads one complete untyped packet; `whole` is exactly what [`First::Packet`] said.
pub fn parse_packet(whole: &[u8]) -> Result<Packet<'_>, Malformed> {
    let Some((&[_, _, _, _, a, b, c, d], body)) = whole.split_first_chunk::<8>() else {
        return Err(Malformed::Length);
    };
    match u32::from_be_bytes([a, b, c, d]) {
        SSL_CODE if body.is_empty() => Ok(Packet::Ssl),
        GSS_CODE if body.is_empty() => Ok(Packet::Gss),
        SSL_CODE | GSS_CODE => Err(Malformed::Length),
        CANCEL_CODE => parse_cancel(body).map(Packet::Cancel),
        code if code >> 16 == 3 => {
            let parameters = parse_parameters(body)?;
            let minor = u16::from_be_bytes([c, d]);
            Ok(Packet::Startup(Startup { minor, parameters }))
        }
        code if code >> 16 == 2 => Err(Malformed::OldProtocol),
        _ => Err(Malformed::UnknownCode),
    }
}

fn parse_cancel(body: &[u8]) -> Result<Cancel<'_>, Malformed> {
    match body.split_first_chunk::<4>() {
        Some((pid, secret)) if CANCEL_SECRET.contains(&secret.len()) => Ok(Cancel {
            pid: u32::from_be_bytes(*pid),
            secret,
        }),
        _ => Err(Malformed::Length),
    }
}

/// Names and values, borrowed from the packet.
type Parameters<'a> = Vec<(&'a [u8], &'a [u8])>;

fn parse_parameters(mut body: &[u8]) -> Result<Parameters<'_>, Malformed> {
    let mut parameters = Vec::new();
    loop {
        let (name, rest) = cstr(body).ok_or(Malformed::Layout)?;
        if name.is_empty() {
            // The empty name is the terminator, and nothing may follow it.
            return if rest.is_empty() {
                Ok(parameters)
            } else {
                Err(Malformed::Layout)
            };
        }
        let (value, rest) = cstr(rest).ok_or(Malformed::Layout)?;
        parameters.push((name, value));
        body = rest;
    }
}

/// One setting out of `options`, unescaped.
pub type OptionPair = (Vec<u8>, Vec<u8>);

/// Takes the `options` parameter apart: `-c name=value`, `-cname=value`, `--name=value`, separated
/// by blanks, a backslash taking the next byte as it is. `None` for anything else (PgBouncer
/// refuses other switches). As in PostgreSQL a dash in a name stands for an underscore.
pub fn parse_options(options: &[u8]) -> Option<Vec<OptionPair>> {
    let mut words = split_options(options).into_iter();
    let mut pairs = Vec::new();
    while let Some(word) = words.next() {
        let setting = match word.as_slice() {
            b"-c" => words.next()?,
            [b'-', b'c', rest @ ..] | [b'-', b'-', rest @ ..] => rest.to_vec(),
            _ => return None,
        };
        let equals = setting.iter().position(|&b| b == b'=')?;
        if equals == 0 {
            return None;
        }
        let name = setting[..equals].iter();
        let name = name.map(|&b| if b == b'-' { b'_' } else { b });
        pairs.push((name.collect(), setting[equals + 1..].to_vec()));
    }
    Some(pairs)
}

fn split_options(options: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut bytes = options.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => words.extend(word.take()),
            b'\\' => {
                // A backslash at the very end escapes nothing and is dropped, as in PostgreSQL.
                let word = word.get_or_insert_default();
                word.extend(bytes.next());
            }
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words
}

/// The password in the body of a PasswordMessage: a string that ends with the body.
pub fn parse_password(body: &[u8]) -> Result<&[u8], Malformed> {
    match cstr(body) {
        Some((password, [])) => Ok(password),
        _ => Err(Malformed::Layout),
    }
}

/// Mechanism and first message in the body of a SASLInitialResponse; a response announced as
/// absent (length -1) reads as empty.
pub fn parse_sasl_initial(body: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (mechanism, rest) = cstr(body).ok_or(Malformed::Layout)?;
    let (length, data) = rest.split_first_chunk::<4>().ok_or(Malformed::Layout)?;
    match i32::from_be_bytes(*length) {
        -1 if data.is_empty() => Ok((mechanism, data)),
        length if usize::try_from(length) == Ok(data.len()) => Ok((mechanism, data)),
        _ => Err(Malformed::Length),
    }
}
