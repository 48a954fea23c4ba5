//! The values of parameters, put into a text as literals.
//!
//! Owns: finding `$1` and its like among the tokens. For reading only: the text is never sent.

use super::Rules;
use super::bytes::{Byte, class_at};
use super::reader::quoted;
use super::scan::{self, Dollar};

/// The text with a literal in place of each parameter; `None`: a value is missing, or the text is
/// not understood.
pub fn with_values(text: &[u8], values: &[Option<&str>], rules: Rules) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    loop {
        let start = scan::skip_blank(text, at);
        out.extend_from_slice(text.get(at..start)?);
        let Some(class) = class_at(text, start) else {
            return Some(out);
        };
        at = scan::token(text, start, rules.backslash_quotes)?;
        let token = text.get(start..at)?;
        let is_parameter =
            class == Byte::Dollar && matches!(scan::dollar(text, start), Dollar::Parameter(_));
        if !is_parameter {
            out.extend_from_slice(token);
            continue;
        }
        let number: usize = std::str::from_utf8(token.get(1..)?).ok()?.parse().ok()?;
        let literal = match values.get(number.checked_sub(1)?)? {
            Some(value) => quoted(value),
            None => "NULL".to_owned(),
        };
        out.push(b' ');
        out.extend_from_slice(literal.as_bytes());
        out.push(b' ');
    }
}
