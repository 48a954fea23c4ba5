//! Messages a server sends, and the few that we put in its place.

use super::frame::{self, HEADER};

/// Tags of backend messages.
pub mod tag {
    pub const BACKEND_KEY_DATA: u8 = b'K';
    pub const BIND_COMPLETE: u8 = b'2';
    pub const CLOSE_COMPLETE: u8 = b'3';
    pub const COMMAND_COMPLETE: u8 = b'C';
    pub const COPY_BOTH: u8 = b'W';
    pub const COPY_DATA: u8 = b'd';
    pub const COPY_DONE: u8 = b'c';
    pub const COPY_IN: u8 = b'G';
    pub const COPY_OUT: u8 = b'H';
    pub const DATA_ROW: u8 = b'D';
    pub const EMPTY_QUERY: u8 = b'I';
    pub const ERROR: u8 = b'E';
    pub const FUNCTION_RESULT: u8 = b'V';
    pub const NO_DATA: u8 = b'n';
    pub const NOTICE: u8 = b'N';
    pub const NOTIFICATION: u8 = b'A';
    pub const PARAMETER_DESCRIPTION: u8 = b't';
    pub const PARAMETER_STATUS: u8 = b'S';
    pub const PARSE_COMPLETE: u8 = b'1';
    pub const PORTAL_SUSPENDED: u8 = b's';
    pub const READY_FOR_QUERY: u8 = b'Z';
    pub const ROW_DESCRIPTION: u8 = b'T';
}

/// ParseComplete, as a server would send it.
pub const PARSE_COMPLETE: [u8; 5] = [b'1', 0, 0, 0, 4];
/// CloseComplete.
pub const CLOSE_COMPLETE: [u8; 5] = [b'3', 0, 0, 0, 4];

/// Transaction status of a ReadyForQuery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Status {
    /// `I`: no transaction.
    #[default]
    Idle,
    /// `T`: in a transaction.
    InTransaction,
    /// `E`: in a failed transaction.
    Failed,
}

impl Status {
    /// The byte on the wire.
    pub fn byte(self) -> u8 {
        match self {
            Self::Idle => b'I',
            Self::InTransaction => b'T',
            Self::Failed => b'E',
        }
    }

    /// From the byte on the wire.
    pub fn parse(byte: u8) -> Option<Self> {
        match byte {
            b'I' => Some(Status::Idle),
            b'T' => Some(Status::InTransaction),
            b'E' => Some(Status::Failed),
            _ => None,
        }
    }
}

/// Name and value of a complete ParameterStatus frame.
pub fn parameter_status(whole: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, rest) = frame::cstr(whole.get(HEADER..)?)?;
    let (value, rest) = frame::cstr(rest)?;
    rest.is_empty().then_some((name, value))
}

/// The values of a whole DataRow; NULL is `None`.
pub fn row_columns(whole: &[u8]) -> Vec<Option<&[u8]>> {
    let mut rest = whole.get(HEADER + 2..).unwrap_or_default();
    let mut columns = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(i32::from_be_bytes(*length)).ok();
        let Some((value, next)) = after.split_at_checked(length.unwrap_or(0)) else {
            break;
        };
        columns.push(length.map(|_| value));
        rest = next;
    }
    columns
}

/// A ParameterStatus frame.
pub fn parameter_status_frame(name: &str, value: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + name.len() + value.len() + 2);
    out.push(tag::PARAMETER_STATUS);
    out.extend_from_slice(&frame::length_field(name.len() + value.len() + 2));
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    out.extend_from_slice(value.as_bytes());
    out.push(0);
    out
}

/// A CommandComplete frame.
pub fn command_complete(command: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + command.len() + 1);
    out.push(tag::COMMAND_COMPLETE);
    out.extend_from_slice(&frame::length_field(command.len() + 1));
    out.extend_from_slice(command.as_bytes());
    out.push(0);
    out
}

/// ReadyForQuery.
pub fn ready_for_query(status: Status) -> [u8; 6] {
    [tag::READY_FOR_QUERY, 0, 0, 0, 5, status.byte()]
}

/// The fields of an ErrorResponse or NoticeResponse that we look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorFields<'a> {
    /// Field V if there, else S.
    pub severity: &'a [u8],
    /// Field C.
    pub sqlstate: &'a [u8],
    /// Field M.
    pub message: &'a [u8],
    /// Field R.
    pub routine: &'a [u8],
}

/// What PostgreSQL compares of a result's columns: names, types and their modifiers, in order, as one
/// number; of a whole RowDescription or NoData.
pub fn columns_hash(whole: &[u8]) -> u64 {
    /// Behind a name: table, column number, type, length, modifier, format.
    const FIELD: usize = 18;
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    let mut rest = whole.get(HEADER + 2..).unwrap_or_default();
    while let Some((name, after)) = frame::cstr(rest)
        && let Some((field, next)) = after.split_first_chunk::<FIELD>()
    {
        name.hash(&mut hasher);
        field[6..16].hash(&mut hasher);
        rest = next;
    }
    hasher.finish()
}

/// Reads severity, SQLSTATE and message out of a complete frame; missing ones stay empty.
pub fn error_fields(whole: &[u8]) -> ErrorFields<'_> {
    let mut fields = ErrorFields::default();
    let mut rest = whole.get(HEADER..).unwrap_or_default();
    let mut plain_severity: &[u8] = &[];
    while let Some((&kind, after)) = rest.split_first() {
        if kind == 0 {
            break;
        }
        let Some((value, after)) = frame::cstr(after) else {
            break;
        };
        match kind {
            b'S' => plain_severity = value,
            b'V' => fields.severity = value,
            b'C' => fields.sqlstate = value,
            b'M' => fields.message = value,
            b'R' => fields.routine = value,
            _ => {}
        }
        rest = after;
    }
    if fields.severity.is_empty() {
        fields.severity = plain_severity;
    }
    fields
}

/// Whether a complete ErrorResponse says that the columns of a prepared statement's result have
/// changed (PostgreSQL's `plancache.c`). The message is in the server's language.
pub fn is_stale_plan(whole: &[u8]) -> bool {
    let fields = error_fields(whole);
    fields.sqlstate == b"0A000" && fields.routine == b"RevalidateCachedQuery"
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn error_fields_survive_truncation() {
        let mut whole = Vec::new();
        frame::put(&mut whole, b'E', b"SERREUR\0VERROR\0C42601\0Msyntax\0\0");
        let fields = error_fields(&whole);
        assert_eq!(fields.severity, b"ERROR");
        assert_eq!(fields.sqlstate, b"42601");
        assert_eq!(fields.message, b"syntax");
        for cut in 0..whole.len() {
            let _ = error_fields(&whole[..cut]);
        }
    }

    #[test]
    fn parameter_status_needs_both_strings() {
        let mut whole = Vec::new();
        frame::put(&mut whole, b'S', b"TimeZone\0UTC\0");
        assert_eq!(
            parameter_status(&whole),
            Some((&b"TimeZone"[..], &b"UTC"[..]))
        );
        assert_eq!(parameter_status(&whole[..whole.len() - 1]), None);
    }
}
