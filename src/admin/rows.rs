//! Results: columns with PgBouncer's types, cells, and their bytes in text and binary format.
//!
//! Owns the encoding of one row. Touches nothing but pgwire's message types.
//! Source: PostgreSQL protocol, "Message Formats"; numeric.c for the binary form of numeric.

use bytes::{BufMut, BytesMut};
use pgwire::api::Type;
use pgwire::api::portal::Format;
use pgwire::api::results::{FieldFormat, FieldInfo};
use pgwire::messages::data::DataRow;

/// Type of a column; PgBouncer uses the first four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// text, OID 25.
    T,
    /// int4, OID 23.
    I,
    /// int8, OID 20.
    Q,
    /// numeric, OID 1700.
    N,
    /// float8, OID 701: our own columns with fractions.
    F,
}

/// Name and type.
pub type Column = (&'static str, Kind);

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// SQL NULL.
    Null,
    /// For columns of type text.
    Text(String),
    /// For the numeric types.
    Number(u64),
    /// For float8, with the number of decimals of its text form.
    Real(f64, u8),
}

impl Cell {
    /// A number with as many decimals as help.
    pub fn real(number: f64) -> Self {
        match number.fract() == 0.0 {
            true => Cell::Real(number, 0),
            false => Self::decimal(number),
        }
    }

    /// Milliseconds of µs: three decimals below 10, one below 1000.
    pub fn ms(us: f64) -> Self {
        Self::decimal(us / 1e3)
    }

    fn decimal(number: f64) -> Self {
        let decimals = match number.abs() {
            n if n >= 999.95 => 0,
            n if n >= 9.9995 => 1,
            _ => 3,
        };
        Cell::Real(number, decimals)
    }

    /// Seconds of µs: one decimal below 10.
    pub fn seconds(us: u64) -> Self {
        let seconds = us as f64 / 1e6;
        Cell::Real(seconds, u8::from(seconds < 9.95))
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Cell::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Cell::Text(text)
    }
}

impl From<Option<String>> for Cell {
    fn from(text: Option<String>) -> Self {
        text.map_or(Cell::Null, Cell::Text)
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Cell::Number(number)
    }
}

impl From<bool> for Cell {
    fn from(fact: bool) -> Self {
        Cell::Number(fact.into())
    }
}

/// A result.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Its head.
    pub columns: &'static [Column],
    /// As many cells per row as there are columns.
    pub rows: Vec<Vec<Cell>>,
}

/// The head as pgwire describes it, in the formats that were asked for.
pub fn fields(columns: &[Column], format: &Format) -> Vec<FieldInfo> {
    columns
        .iter()
        .enumerate()
        .map(|(index, (name, kind))| {
            let (kind, size) = match kind {
                Kind::T => (Type::TEXT, -1),
                Kind::I => (Type::INT4, 4),
                Kind::Q => (Type::INT8, 8),
                Kind::N => (Type::NUMERIC, -1),
                Kind::F => (Type::FLOAT8, 8),
            };
            let format = format_of(format, index);
            FieldInfo::new((*name).to_owned(), None, None, kind, format).with_type_size(size)
        })
        .collect()
}

/// A client may send fewer format codes than there are columns; the rest is text.
fn format_of(format: &Format, index: usize) -> FieldFormat {
    match format {
        Format::UnifiedText => FieldFormat::Text,
        Format::UnifiedBinary => FieldFormat::Binary,
        Format::Individual(codes) => codes
            .get(index)
            .map_or(FieldFormat::Text, |code| FieldFormat::from(*code)),
    }
}

/// One row in the formats that were asked for.
pub fn encode(row: &[Cell], columns: &[Column], format: &Format) -> DataRow {
    let mut data = BytesMut::with_capacity(16 * row.len());
    for (index, (cell, (_, kind))) in row.iter().zip(columns).enumerate() {
        match (cell, format_of(format, index)) {
            (Cell::Null, _) => data.put_i32(-1),
            (Cell::Text(text), _) => put(&mut data, text.as_bytes()),
            (Cell::Number(number), FieldFormat::Text) => {
                put(&mut data, clamp(*number, *kind).to_string().as_bytes());
            }
            (Cell::Number(number), FieldFormat::Binary) => put_binary(&mut data, *number, *kind),
            (Cell::Real(real, decimals), FieldFormat::Text) => {
                put(
                    &mut data,
                    format!("{real:.*}", usize::from(*decimals)).as_bytes(),
                );
            }
            (Cell::Real(real, _), FieldFormat::Binary) => put(&mut data, &real.to_be_bytes()),
        }
    }
    DataRow::new(data, i16::try_from(row.len()).unwrap_or(i16::MAX))
}

fn put(data: &mut BytesMut, bytes: &[u8]) {
    data.put_u32(u32::try_from(bytes.len()).unwrap_or(0));
    data.put_slice(bytes);
}

/// The value as its type can hold it; a text column of numbers is not limited.
fn clamp(number: u64, kind: Kind) -> u64 {
    match kind {
        Kind::I => number.min(i32::MAX as u64),
        Kind::Q => number.min(i64::MAX as u64),
        Kind::T | Kind::N | Kind::F => number,
    }
}

fn put_binary(data: &mut BytesMut, number: u64, kind: Kind) {
    let number = clamp(number, kind);
    match kind {
        Kind::I => put(data, &(number as u32).to_be_bytes()),
        Kind::Q => put(data, &number.to_be_bytes()),
        Kind::N => put_numeric(data, number),
        Kind::T => put(data, number.to_string().as_bytes()),
        Kind::F => put(data, &(number as f64).to_be_bytes()),
    }
}

/// Digits of base 10000, the weight of the first, sign and scale.
fn put_numeric(data: &mut BytesMut, mut number: u64) {
    let mut digits = Vec::with_capacity(5);
    while number > 0 {
        digits.push((number % 10_000) as u16);
        number /= 10_000;
    }
    data.put_u32(8 + 2 * digits.len() as u32);
    data.put_u16(digits.len() as u16);
    data.put_i16((digits.len() as i16 - 1).max(0));
    data.put_u16(0);
    data.put_u16(0);
    for digit in digits.iter().rev() {
        data.put_u16(*digit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        ("t", Kind::T),
        ("i", Kind::I),
        ("q", Kind::Q),
        ("n", Kind::N),
    ];

    #[test]
    fn cells_in_text_and_binary() {
        let row = [
            Cell::Null,
            Cell::Number(u64::MAX),
            Cell::Number(7),
            Cell::Number(123_456_789),
        ];
        let text = encode(&row, COLUMNS, &Format::UnifiedText);
        assert_eq!(
            &text.data[..],
            b"\xff\xff\xff\xff\0\0\0\x0a2147483647\0\0\0\x017\0\0\0\x09123456789"
        );
        let binary = encode(&row, COLUMNS, &Format::UnifiedBinary);
        assert_eq!(
            &binary.data[..],
            b"\xff\xff\xff\xff\0\0\0\x04\x7f\xff\xff\xff\0\0\0\x08\0\0\0\0\0\0\0\x07\
              \0\0\0\x0e\0\x03\0\x02\0\0\0\0\0\x01\x09\x29\x1a\x85"
        );
        assert_eq!(binary.field_count, 4);
    }

    #[test]
    fn fractions_in_text_and_binary() {
        let columns = &[("a", Kind::F), ("b", Kind::F), ("c", Kind::F)];
        let row = [Cell::ms(1234.0), Cell::ms(1.2e7), Cell::seconds(1_460_000)];
        let text = encode(&row, columns, &Format::UnifiedText);
        assert_eq!(
            &text.data[..],
            b"\0\0\0\x051.234\0\0\0\x0512000\0\0\0\x031.5"
        );
        let binary = encode(&row[..1], columns, &Format::UnifiedBinary);
        let mut expected = b"\0\0\0\x08".to_vec();
        expected.extend(1.234f64.to_be_bytes());
        assert_eq!(&binary.data[..], expected);
    }

    #[test]
    fn missing_format_codes_mean_text() {
        let fields = fields(COLUMNS, &Format::Individual(vec![1, 1]));
        assert_eq!(fields[1].format(), FieldFormat::Binary);
        assert_eq!(fields[3].format(), FieldFormat::Text);
    }
}
