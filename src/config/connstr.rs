//! The values of [databases], [users] and [peers]: lists of `key=value`.
//!
//! Owns the dialect of these lists. Knows no key.
//! Mirrors: PgBouncer's connect strings: only the space separates, blanks are allowed around `=`,
//! values may stand in single quotes with `''` for a quote, and may not be empty.

use super::error::Problem;

/// A list taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pairs<'a> {
    /// Keys and unquoted values, in order.
    pub pairs: Vec<(String, String)>,
    /// A trailing `; comment`, which only we tolerate.
    pub comment: Option<&'a str>,
}

/// Splits a list into its pairs. Errors name the key before the trouble and never quote the text,
/// which may be the end of a password with a blank in it.
pub fn pairs(text: &str) -> Result<Pairs<'_>, Problem> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut rest = text.trim_start_matches(' ');
    while !rest.is_empty() {
        // A comment needs a blank in front, which is given here: keys follow a blank or start.
        if rest.starts_with(';') {
            let comment = Some(rest);
            return Ok(Pairs { pairs, comment });
        }
        let end = rest.find(['=', ' ']).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        let Some(value) = after.trim_start_matches(' ').strip_prefix('=') else {
            let before = pairs.last().map(|(key, _)| key.clone());
            return Err(Problem::ConnectString(before));
        };
        let (value, after) = take_value(key, value.trim_start_matches(' '))?;
        pairs.push((key.to_owned(), value));
        rest = after.trim_start_matches(' ');
    }
    let comment = None;
    Ok(Pairs { pairs, comment })
}

fn take_value<'a>(key: &str, text: &'a str) -> Result<(String, &'a str), Problem> {
    let (value, rest) = match text.strip_prefix('\'') {
        Some(quoted) => take_quoted(quoted).ok_or_else(|| Problem::OpenQuote(key.to_owned()))?,
        None => {
            let end = text.find(' ').unwrap_or(text.len());
            (text[..end].to_owned(), &text[end..])
        }
    };
    if value.is_empty() {
        return Err(Problem::EmptyValue(key.to_owned()));
    }
    if !rest.is_empty() && !rest.starts_with(' ') {
        return Err(Problem::ConnectString(Some(key.to_owned())));
    }
    Ok((value, rest))
}

/// Reads up to the closing quote; `None` if there is none.
fn take_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('\'')?;
        value.push_str(part);
        match after.strip_prefix('\'') {
            Some(more) => {
                value.push('\'');
                rest = more;
            }
            None => return Some((value, after)),
        }
    }
}
