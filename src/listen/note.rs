//! NotificationResponse: Int32 process id, channel, payload.
//!
//! Owns: reading the channel out of a frame, and the frame that wakes a client after a gap. Pure.

use std::sync::Arc;

use crate::wire::backend::tag;
use crate::wire::frame::{self, HEADER};

/// Where the channel begins.
const CHANNEL: usize = HEADER + 4;

/// The channel of a whole frame.
pub fn channel(whole: &[u8]) -> Option<&[u8]> {
    let (channel, _) = frame::cstr(whole.get(CHANNEL..)?)?;
    Some(channel)
}

/// A notification of ours: on `channel`, without a payload.
pub fn empty(pid: i32, channel: &str) -> Arc<[u8]> {
    let mut out = Vec::with_capacity(CHANNEL + channel.len() + 2);
    out.push(tag::NOTIFICATION);
    out.extend_from_slice(&frame::length_field(4 + channel.len() + 2));
    out.extend_from_slice(&pid.to_be_bytes());
    out.extend_from_slice(channel.as_bytes());
    out.extend_from_slice(&[0, 0]);
    out.into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_of_ours_is_one_frame_with_its_channel() {
        let frame = empty(7, "imbus");
        let frame::Peeked::Header(header) = frame::peek(&frame, 100) else {
            panic!("no header");
        };
        assert_eq!(header.total, frame.len());
        assert_eq!(channel(&frame).unwrap(), b"imbus");
        assert_eq!(&frame[HEADER..CHANNEL], 7i32.to_be_bytes());
    }

    #[test]
    fn a_short_frame_has_no_channel() {
        assert_eq!(channel(b"A\0\0\0\x06ab"), None);
        assert_eq!(channel(b"A\0\0\0\x09\0\0\0\x01x"), None);
    }
}
