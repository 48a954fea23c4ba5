//! Typed values: text from a file to a Rust value, and back as SHOW CONFIG prints it.
//!
//! Owns the kinds of value a setting can have. Touches nothing; no value may panic.
//! Mirrors: libusual's integer (strtol base 0), time (strtod) and string setters, PgBouncer's
//! enums, and atoi in connect strings where that is harmless.

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

/// Longer times than this behave the same and could overflow a clock: they are cut to it.
const LONGEST_SECONDS: f64 = 4_000_000_000.0;

/// Why a text is not a value of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Not digits in any base.
    #[error("not a whole number")]
    NotANumber,
    /// Not decimal seconds.
    #[error("not a number of seconds")]
    NotSeconds,
    /// Negative where there is no sense in it.
    #[error("negative")]
    Negative,
    /// A number this setting cannot have.
    #[error("out of range")]
    OutOfRange,
    /// Neither 0 nor 1 (words such as `yes` and `on` are errors in PgBouncer too).
    #[error("not 0 or 1")]
    NotAFlag,
    /// Not one of the words.
    #[error("unknown word")]
    UnknownWord,
    /// Neither empty nor `address:port`.
    #[error("not an address with a port")]
    NotAnAddress,
    /// Has letters or a length that its kind of name cannot have.
    #[error("not a name of that form")]
    NotAName,
    /// A name that is used already.
    #[error("taken")]
    Reserved,
    /// No supported protocol version is left.
    #[error("no usable TLS version in it")]
    NoTlsVersion,
}

/// Something legal, but probably not meant: becomes a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    /// A leading zero made the number octal.
    Octal(i64),
    /// A socket mode without leading zero is decimal.
    DecimalMode(u32),
    /// Negative numbers switch a limit off, as 0 does.
    NegativeIsZero,
    /// A connect string's number had more behind it, which is ignored.
    RestIgnored(String),
    /// `query_wait_timeout=-1` waits for ever, whatever the manual says.
    WaitsForEver,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remark::Octal(n) => write!(f, "a leading 0 means octal, so this is {n}"),
            Remark::DecimalMode(mode) => write!(
                f,
                "without a leading 0 this is decimal, so the mode is 0{mode:o}"
            ),
            Remark::NegativeIsZero => write!(f, "a negative number counts as 0 here"),
            Remark::RestIgnored(rest) => write!(f, "\"{rest}\" after the number is ignored"),
            Remark::WaitsForEver => write!(f, "a negative time waits for ever, as 0 does"),
        }
    }
}

/// A kind of value: how it is written, checked and printed.
pub trait Kind {
    /// What the rest of the program sees.
    type Value: Default + Clone + PartialEq + fmt::Debug;
    /// What may be written, for error messages and the reference.
    const ACCEPTS: &'static str;
    /// Unit of a plain number, empty where there is none.
    const UNIT: &'static str = "";
    /// A trailing ` ; comment` cannot be part of the value and is cut off.
    const TYPED: bool = true;
    /// PgBouncer refuses the value when a comment trails it (lists and free text just swallow it).
    const STRICT: bool = true;
    /// Must not appear in a log.
    const SECRET: bool = false;

    /// Reads a value; remarks are for legal but suspicious spellings.
    fn parse(text: &str, remarks: &mut Vec<Remark>) -> Result<Self::Value, Invalid>;
    /// Prints a value as PgBouncer does; `None` is SQL NULL.
    fn render(value: &Self::Value) -> Option<String>;
}

/// strtol with base 0: sign, then `0x` hexadecimal, `0` octal, or decimal, and nothing after it.
fn parse_integer(text: &str, remarks: &mut Vec<Remark>) -> Result<i64, Invalid> {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let hex = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"));
    let (radix, digits) = match hex {
        Some(hex) => (16, hex),
        None if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        None => (10, digits),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(Invalid::NotANumber);
    }
    let size = i64::from_str_radix(digits, radix).map_err(|_| Invalid::OutOfRange)?;
    let number = if negative { -size } else { size };
    if radix == 8 && size > 7 {
        remarks.push(Remark::Octal(number));
    }
    Ok(number)
}

fn fit<T: TryFrom<i64>>(number: i64) -> Result<T, Invalid> {
    T::try_from(number).map_err(|_| Invalid::OutOfRange)
}

/// `%g`: six significant digits, no trailing zeros, an exponent when the number is very large or
/// very small.
fn format_g(number: f64) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{number:.5e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        let decimals = usize::try_from(5 - exponent).unwrap_or(0);
        return trim_zeros(&format!("{number:.decimals$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim_zeros(digits), exponent.abs())
}

fn trim_zeros(digits: &str) -> &str {
    if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    }
}

/// 0 or 1. Booleans are integers in PgBouncer; any other number counts as true.
pub struct Flag;
impl Kind for Flag {
    type Value = bool;
    const ACCEPTS: &'static str = "0 or 1";
    fn parse(text: &str, remarks: &mut Vec<Remark>) -> Result<bool, Invalid> {
        match parse_integer(text, remarks) {
            Ok(number) => Ok(number != 0),
            Err(_) => Err(Invalid::NotAFlag),
        }
    }
    fn render(value: &bool) -> Option<String> {
        Some(u8::from(*value).to_string())
    }
}

/// A whole number that counts something; negative counts as 0.
pub struct Count;
impl Kind for Count {
    type Value = u32;
    const ACCEPTS: &'static str = "a whole number";
    fn parse(text: &str, remarks: &mut Vec<Remark>) -> Result<u32, Invalid> {
        let number = parse_integer(text, remarks)?;
        if number < 0 {
            remarks.push(Remark::NegativeIsZero);
        }
        let number: i32 = fit(number.max(0))?;
        fit(i64::from(number))
    }
    fn render(value: &u32) -> Option<String> {
        Some(value.to_string())
    }
}

/// A number of bytes.
pub struct Bytes;
impl Kind for Bytes {
    type Value = u32;
    const ACCEPTS: &'static str = "a whole number of bytes";
    const UNIT: &'static str = "bytes";
    fn parse(text: &str, remarks: &mut Vec<Remark>) -> Result<u32, Invalid> {
        Count::parse(text, remarks)
    }
    fn render(value: &u32) -> Option<String> {
        Count::render(value)
    }
}

/// A count that is NULL until it is written.
pub struct OptCount;
impl Kind for OptCount {
    type Value = Option<u32>;
    const ACCEPTS: &'static str = Count::ACCEPTS;
    fn parse(text: &str, remarks: &mut Vec<Remark>) -> Result<Option<u32>, Invalid> {
        Count::parse(text, remarks).map(Some)
    }
    fn render(value: &Option<u32>) -> Option<String> {
        Some(value.unwrap_or(0).to_string())
    }
}

/// A TCP port; 0 lets the system choose.
pub struct Port;
impl Kind for Port {
    type Value = u16;
    const ACCEPTS: &'static str = "a port, 0 to 65535";
    fn parse(text: &str, remarks: &mut Vec<Remark>) -> Result<u16, Invalid> {
        fit(parse_integer(text, remarks)?)
    }
    fn render(value: &u16) -> Option<String> {
        Some(value.to_string())
    }
}

/// Own number in a group of peers.
pub struct PeerId;
impl Kind for PeerId {
    type Value = u32;
    const ACCEPTS: &'static str = "0 to 16383";
    fn parse(text: &str, remarks: &mut Vec<Remark>) -> Result<u32, Invalid> {
        match parse_integer(text, remarks)? {
            number @ 0..=16_383 => fit(number),
            _ => Err(Invalid::OutOfRange),
        }
    }
    fn render(value: &u32) -> Option<String> {
        Some(value.to_string())
    }
}

/// File mode: octal only with a leading 0, printed in decimal.
pub struct Mode;
impl Kind for Mode {
    type Value = u32;
    const ACCEPTS: &'static str = "an octal mode with a leading 0, 0 to 0777";
    fn parse(text: &str, remarks: &mut Vec<Remark>) -> Result<u32, Invalid> {
        let mode = parse_integer(text, &mut Vec::new())?;
        if !(0..=0o7777).contains(&mode) {
            return Err(Invalid::OutOfRange);
        }
        let mode = fit(mode)?;
        if mode > 7 && !text.starts_with('0') {
            remarks.push(Remark::DecimalMode(mode));
        }
        Ok(mode)
    }
    fn render(value: &u32) -> Option<String> {
        Some(value.to_string())
    }
}

/// Decimal seconds, `1.5` included; no unit suffix.
pub struct Seconds;
impl Kind for Seconds {
    type Value = Duration;
    const ACCEPTS: &'static str = "seconds as a plain number, fractions allowed, no unit";
    const UNIT: &'static str = "seconds";
    fn parse(text: &str, _remarks: &mut Vec<Remark>) -> Result<Duration, Invalid> {
        let hex = text
            .strip_prefix("0x")
            .and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let seconds = match hex {
            Some(whole) => f64::from(whole),
            None => text.parse::<f64>().map_err(|_| Invalid::NotSeconds)?,
        };
        if !seconds.is_finite() {
            return Err(Invalid::NotSeconds);
        }
        if seconds < 0.0 {
            return Err(Invalid::Negative);
        }
        let micros = (seconds.min(LONGEST_SECONDS) * 1e6) as u64;
        Ok(Duration::from_micros(micros))
    }
    fn render(value: &Duration) -> Option<String> {
        Some(format_g(value.as_secs_f64()))
    }
}

/// Whole seconds, as PgBouncer's integer settings that happen to be times.
pub struct WholeSeconds;
impl Kind for WholeSeconds {
    type Value = Duration;
    const ACCEPTS: &'static str = "whole seconds";
    const UNIT: &'static str = "seconds";
    fn parse(text: &str, remarks: &mut Vec<Remark>) -> Result<Duration, Invalid> {
        Count::parse(text, remarks).map(|n| Duration::from_secs(u64::from(n)))
    }
    fn render(value: &Duration) -> Option<String> {
        Some(value.as_secs().to_string())
    }
}

/// Whole seconds of at least 1: a period that may not be 0.
pub struct Period;
impl Kind for Period {
    type Value = Duration;
    const ACCEPTS: &'static str = "whole seconds from 1";
    const UNIT: &'static str = "seconds";
    fn parse(text: &str, remarks: &mut Vec<Remark>) -> Result<Duration, Invalid> {
        match WholeSeconds::parse(text, remarks)? {
            Duration::ZERO => Err(Invalid::OutOfRange),
            period => Ok(period),
        }
    }
    fn render(value: &Duration) -> Option<String> {
        WholeSeconds::render(value)
    }
}

/// Whole milliseconds.
pub struct Millis;
impl Kind for Millis {
    type Value = Duration;
    const ACCEPTS: &'static str = "whole milliseconds";
    const UNIT: &'static str = "milliseconds";
    fn parse(text: &str, remarks: &mut Vec<Remark>) -> Result<Duration, Invalid> {
        Count::parse(text, remarks).map(|n| Duration::from_millis(u64::from(n)))
    }
    fn render(value: &Duration) -> Option<String> {
        Some(value.as_millis().to_string())
    }
}

macro_rules! text_kind {
    ($(#[$doc:meta])* $name:ident, $accepts:literal) => {
        $(#[$doc])*
        pub struct $name;
        impl Kind for $name {
            type Value = String;
            const ACCEPTS: &'static str = $accepts;
            const TYPED: bool = false;
            const STRICT: bool = false;
            fn parse(text: &str, _remarks: &mut Vec<Remark>) -> Result<String, Invalid> {
                Ok(text.to_owned())
            }
            fn render(value: &String) -> Option<String> {
                Some(value.clone())
            }
        }
    };
}
macro_rules! optional_text_kind {
    ($(#[$doc:meta])* $name:ident, $accepts:literal) => {
        $(#[$doc])*
        pub struct $name;
        impl Kind for $name {
            type Value = Option<String>;
            const ACCEPTS: &'static str = $accepts;
            const TYPED: bool = false;
            const STRICT: bool = false;
            fn parse(text: &str, _remarks: &mut Vec<Remark>) -> Result<Option<String>, Invalid> {
                Ok(Some(text.to_owned()))
            }
            fn render(value: &Option<String>) -> Option<String> {
                value.clone()
            }
        }
    };
}
text_kind!(
    /// Free text, empty when unset.
    Text, "text");
text_kind!(
    /// A path, empty when unset.
    Path, "a path");
text_kind!(
    /// SQL, sent as written.
    Sql, "SQL");
optional_text_kind!(
    /// Free text that is NULL until it is written.
    OptText, "text");
optional_text_kind!(
    /// A path that is NULL until it is written.
    OptPath, "a path");

/// Words separated by commas or blanks. Keeps the text as written, because SHOW CONFIG shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    text: String,
    items: Vec<String>,
}

impl List {
    /// Splits a text into its words.
    pub fn parse(text: &str) -> Self {
        let items = text
            .split(|c: char| c == ',' || c.is_ascii_whitespace())
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect();
        Self {
            text: text.to_owned(),
            items,
        }
    }

    /// As it was written.
    pub fn as_text(&self) -> &str {
        &self.text
    }

    /// Is this very word (case counts) in the list?
    pub fn has(&self, word: &str) -> bool {
        self.items.iter().any(|item| item == word)
    }
}

impl Deref for List {
    type Target = [String];
    fn deref(&self) -> &[String] {
        &self.items
    }
}

/// Words separated by commas or blanks.
pub struct Words;
impl Kind for Words {
    type Value = List;
    const ACCEPTS: &'static str = "words separated by commas";
    const STRICT: bool = false;
    fn parse(text: &str, _remarks: &mut Vec<Remark>) -> Result<List, Invalid> {
        Ok(List::parse(text))
    }
    fn render(value: &List) -> Option<String> {
        Some(value.text.clone())
    }
}
