//! HOT. The five bytes in front of every typed message.
//!
//! A frame is a tag byte, a big-endian length that counts itself and the body, and the body.

/// Bytes of a header: tag and length.
pub const HEADER: usize = 5;

/// One header, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Message type.
    pub tag: u8,
    /// Length of the whole frame in bytes, header included.
    pub total: usize,
}

/// What the start of a buffer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peeked {
    /// Fewer than five bytes.
    Short,
    /// A length under four or over the limit: framing is lost, the connection must close.
    Bad,
    /// A header; the body may still be incomplete.
    Header(Header),
}

/// Reads the header at the start of `bytes`; `max` is the largest length field accepted, in bytes.
#[inline]
pub fn peek(bytes: &[u8], max: u32) -> Peeked {
    let Some(&[tag, a, b, c, d]) = bytes.first_chunk::<HEADER>() else {
        return Peeked::Short;
    };
    let length = u32::from_be_bytes([a, b, c, d]);
    if length < 4 || length > max {
        return Peeked::Bad;
    }
    Peeked::Header(Header {
        tag,
        total: length as usize + 1,
    })
}

/// Appends a frame: tag, length, body.
pub fn put(out: &mut Vec<u8>, tag: u8, body: &[u8]) {
    out.push(tag);
    out.extend_from_slice(&length_field(body.len()));
    out.extend_from_slice(body);
}

/// The length field of a body of `body` bytes.
pub fn length_field(body: usize) -> [u8; 4] {
    u32::try_from(body + 4).unwrap_or(u32::MAX).to_be_bytes()
}

/// Splits a NUL-terminated string off the front; `None` when there is no NUL.
#[inline]
pub fn cstr(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|&b| b == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_checked_before_they_are_believed() {
        assert_eq!(peek(b"Q\0\0\0", 100), Peeked::Short);
        assert_eq!(peek(b"Q\0\0\0\x03", 100), Peeked::Bad);
        assert_eq!(peek(b"Q\0\0\0\x65", 100), Peeked::Bad);
        assert_eq!(peek(b"Q\xff\xff\xff\xff", 100), Peeked::Bad);
        assert_eq!(
            peek(b"Q\0\0\0\x04", 100),
            Peeked::Header(Header {
                tag: b'Q',
                total: 5
            })
        );
    }
}
