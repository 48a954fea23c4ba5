//! Messages a client sends (and those that we send to a server on its behalf).

use super::frame::{self, HEADER};

/// Tags of frontend messages.
pub mod tag {
    pub const BIND: u8 = b'B';
    pub const CLOSE: u8 = b'C';
    pub const COPY_DATA: u8 = b'd';
    pub const COPY_DONE: u8 = b'c';
    pub const COPY_FAIL: u8 = b'f';
    pub const DESCRIBE: u8 = b'D';
    pub const EXECUTE: u8 = b'E';
    pub const FLUSH: u8 = b'H';
    pub const FUNCTION_CALL: u8 = b'F';
    pub const PARSE: u8 = b'P';
    pub const PASSWORD: u8 = b'p';
    pub const QUERY: u8 = b'Q';
    pub const SYNC: u8 = b'S';
    pub const TERMINATE: u8 = b'X';
}

/// A whole Flush.
pub const FLUSH: [u8; 5] = [tag::FLUSH, 0, 0, 0, 4];

/// A whole Sync.
pub const SYNC: [u8; 5] = [tag::SYNC, 0, 0, 0, 4];

/// Appends Parse, Bind and Execute of a statement without parameters, all of it unnamed, and no
/// Sync.
pub fn parse_bind_execute(out: &mut Vec<u8>, sql: &[u8]) {
    out.push(tag::PARSE);
    out.extend_from_slice(&frame::length_field(sql.len() + 4));
    out.push(0);
    out.extend_from_slice(sql);
    out.extend_from_slice(&[0, 0, 0]);
    frame::put(out, tag::BIND, &[0; 8]);
    frame::put(out, tag::EXECUTE, &[0; 5]);
}

/// Appends Bind, Execute and Sync of a named statement without parameters.
pub fn execute_named(out: &mut Vec<u8>, name: &[u8]) {
    out.push(tag::BIND);
    out.extend_from_slice(&frame::length_field(name.len() + 8));
    out.push(0);
    out.extend_from_slice(name);
    out.extend_from_slice(&[0; 7]);
    frame::put(out, tag::EXECUTE, &[0; 5]);
    out.extend_from_slice(&SYNC);
}

/// Appends a simple Query.
pub fn query(out: &mut Vec<u8>, sql: &[u8]) {
    out.push(tag::QUERY);
    out.extend_from_slice(&frame::length_field(sql.len() + 1));
    out.extend_from_slice(sql);
    out.push(0);
}

/// Appends a Close of a prepared statement.
pub fn close_statement(out: &mut Vec<u8>, name: &[u8]) {
    out.push(tag::CLOSE);
    out.extend_from_slice(&frame::length_field(name.len() + 2));
    out.push(b'S');
    out.extend_from_slice(name);
    out.push(0);
}

/// Appends a Describe of a statement.
pub fn describe_statement(out: &mut Vec<u8>, name: &[u8]) {
    out.push(tag::DESCRIBE);
    out.extend_from_slice(&frame::length_field(name.len() + 2));
    out.push(b'S');
    out.extend_from_slice(name);
    out.push(0);
}

/// Appends a Parse: `rest` is everything after the name (text, NUL, parameter types).
pub fn parse_named(out: &mut Vec<u8>, name: &[u8], rest: &[u8]) {
    out.push(tag::PARSE);
    out.extend_from_slice(&frame::length_field(name.len() + 1 + rest.len()));
    out.extend_from_slice(name);
    out.push(0);
    out.extend_from_slice(rest);
}

/// A whole Parse frame taken apart: (name, rest), `rest` being text, NUL and parameter types.
/// `None` when it is malformed.
pub fn split_parse(whole: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, rest) = frame::cstr(whole.get(HEADER..)?)?;
    let (_text, types) = frame::cstr(rest)?;
    let (count, oids) = types.split_first_chunk::<2>()?;
    let count = usize::from(u16::from_be_bytes(*count));
    (oids.len() == 4 * count).then_some((name, rest))
}

/// The statement name of a Bind as a byte range of `bytes`, which start at the header; the frame
/// may still be incomplete. `Ok(None)` asks for more bytes, `Err` is malformed.
pub fn bind_statement(
    bytes: &[u8],
    total: usize,
) -> Result<Option<std::ops::Range<usize>>, Malformed> {
    let seen = bytes.get(HEADER..bytes.len().min(total)).ok_or(Malformed)?;
    let complete = bytes.len() >= total;
    let more = if complete { Err(Malformed) } else { Ok(None) };
    let Some((portal, after)) = frame::cstr(seen) else {
        return more;
    };
    let Some((name, _)) = frame::cstr(after) else {
        return more;
    };
    let start = HEADER + portal.len() + 1;
    Ok(Some(start..start + name.len()))
}

/// A value of a Bind: whether it is in binary format, and its bytes; `None` is NULL.
pub type BoundValue<'a> = (bool, Option<&'a [u8]>);

/// The values of a whole Bind frame; `None` when it is malformed.
pub fn bind_values(whole: &[u8]) -> Option<Vec<BoundValue<'_>>> {
    let (_portal, rest) = frame::cstr(whole.get(HEADER..)?)?;
    let (_name, rest) = frame::cstr(rest)?;
    let count = |rest: &'_ [u8]| -> Option<usize> {
        Some(usize::from(u16::from_be_bytes(*rest.first_chunk()?)))
    };
    let formats = count(rest)?;
    let (codes, mut rest) = rest.get(2..)?.split_at_checked(2 * formats)?;
    let is_binary = |nth: usize| {
        let at = if formats == 1 { 0 } else { 2 * nth };
        formats > 0 && codes.get(at..at + 2) == Some(&[0, 1])
    };
    let values = count(rest)?;
    rest = rest.get(2..)?;
    let mut found = Vec::new();
    for nth in 0..values {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(i32::from_be_bytes(*length)).ok();
        let (value, next) = after.split_at_checked(length.unwrap_or(0))?;
        found.push((is_binary(nth), length.map(|_| value)));
        rest = next;
    }
    Some(found)
}

/// The text and the parameter types of what stands behind the name in a Parse; 0 is a type that the
/// server is to find.
pub fn text_and_types(rest: &[u8]) -> Option<(&[u8], Vec<u32>)> {
    let (text, types) = frame::cstr(rest)?;
    let oids = types.get(2..)?.chunks_exact(4);
    let oids = oids.map(|oid| oid.iter().fold(0, |all, byte| all << 8 | u32::from(*byte)));
    Some((text, oids.collect()))
}

/// The kind (`S` or `P`) and name of a complete Describe or Close frame.
pub fn described(whole: &[u8]) -> Option<(u8, &[u8])> {
    let (&kind, rest) = whole.get(HEADER..)?.split_first()?;
    let (name, rest) = frame::cstr(rest)?;
    (rest.is_empty() && (kind == b'S' || kind == b'P')).then_some((kind, name))
}

/// HOT. Whether a simple query may contain DEALLOCATE ALL or DISCARD ALL: it begins with one of
/// the words, or has several commands. `true` for some that do not.
#[inline]
pub fn may_drop_statements(sql: &[u8]) -> bool {
    let one = sql.trim_ascii_end();
    let one = one.strip_suffix(b";").unwrap_or(one);
    one.contains(&b';') || begins_with_drop(one)
}

/// Whether a single command begins with DEALLOCATE or DISCARD, behind blanks and comments. `true`
/// when the first word is beyond the end of `sql`.
pub fn begins_with_drop(sql: &[u8]) -> bool {
    let word = after_comments(sql);
    word.is_empty()
        || [&b"DEALLOCATE"[..], b"DISCARD"].iter().any(|drop| {
            let n = drop.len().min(word.len());
            word[..n].eq_ignore_ascii_case(&drop[..n])
        })
}

/// `sql` from its first word on; a comment that does not end hides everything.
fn after_comments(mut sql: &[u8]) -> &[u8] {
    loop {
        sql = sql.trim_ascii_start();
        let end = match sql {
            [b'-', b'-', rest @ ..] => rest.iter().position(|b| *b == b'\n').map(|n| n + 2),
            [b'/', b'*', rest @ ..] => comment_end(rest).map(|n| n + 2),
            _ => return sql,
        };
        sql = &sql[end.unwrap_or(sql.len())..];
    }
}

/// Where a comment ends whose `/*` has been read; comments nest.
fn comment_end(text: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (1, 0);
    while depth > 0 {
        let step = match text.get(at..at + 2)? {
            b"/*" => 1,
            b"*/" => -1,
            _ => 0,
        };
        depth += step;
        at += if step == 0 { 1 } else { 2 };
    }
    Some(at)
}

/// A frame whose body contradicts its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed message")]
pub struct Malformed;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn framed(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        frame::put(&mut out, tag, body);
        out
    }

    #[test]
    fn parse_is_split_only_when_its_types_add_up() {
        let good = framed(b'P', b"s1\0select $1\0\0\x01\0\0\0\x17");
        let (name, rest) = split_parse(&good).unwrap();
        assert_eq!((name, rest.len()), (&b"s1"[..], 16));
        assert!(split_parse(&framed(b'P', b"s1\0select $1\0\0\x02\0\0\0\x17")).is_none());
        assert!(split_parse(&framed(b'P', b"s1")).is_none());
        assert!(split_parse(b"P").is_none());
    }

    #[test]
    fn bind_names_may_arrive_in_pieces() {
        let whole = framed(b'B', b"portal\0stmt\0\0\0\0\0\0\0");
        assert_eq!(bind_statement(&whole[..9], whole.len()), Ok(None));
        let range = bind_statement(&whole, whole.len()).unwrap().unwrap();
        assert_eq!(&whole[range], b"stmt");
        let broken = framed(b'B', b"portal\0stmt");
        assert_eq!(bind_statement(&broken, broken.len()), Err(Malformed));
    }

    #[test]
    fn what_may_drop_statements_is_never_missed() {
        for sql in [
            "DISCARD ALL",
            " deallocate ALL;",
            "/* a /* b */ */ -- c\n\tDiscard all",
            "select 1; discard all",
            "/* not ended",
            "--",
            "",
        ] {
            assert!(may_drop_statements(sql.as_bytes()), "{sql}");
        }
        for sql in [
            "BEGIN",
            "select 'discard all';",
            "d",
            "declare c cursor for select 1",
            "/",
        ] {
            let is_start = sql == "d";
            assert_eq!(may_drop_statements(sql.as_bytes()), is_start, "{sql}");
        }
    }

    #[test]
    fn describe_wants_exactly_one_name() {
        assert_eq!(described(&framed(b'D', b"Sx\0")), Some((b'S', &b"x"[..])));
        assert_eq!(described(&framed(b'D', b"Xx\0")), None);
        assert_eq!(described(&framed(b'D', b"Sx\0y")), None);
        assert_eq!(described(&framed(b'D', b"")), None);
    }
}
