//! ORDER BY and LIMIT of any table.

use std::cmp::Ordering;

use super::Rows;
use crate::admin::asks::{Options, Order};
use crate::admin::rows::{Cell, Column};
use crate::error::ClientError;

/// Order and limit, checked against the columns.
pub struct Arrangement {
    /// Column and whether it descends; `None`: as the screen made the rows, worst first.
    order: Option<(usize, bool)>,
    limit: usize,
}

impl Arrangement {
    /// # Errors
    /// An unknown column in ORDER BY.
    pub fn of(options: &Options, columns: &[Column]) -> Result<Self, ClientError> {
        let order = options.order.as_ref();
        Ok(Self {
            order: order.map(|order| place(order, columns)).transpose()?,
            limit: options.limit(),
        })
    }

    /// With another limit than the usual one, unless LIMIT says otherwise.
    pub fn unless_told(self, limit: usize, options: &Options) -> Self {
        Self {
            limit: options.limit.unwrap_or(limit),
            ..self
        }
    }

    /// Sorts and cuts; how many rows were cut off. Rows that are equal keep the screen's order.
    pub fn apply(&self, rows: &mut Rows) -> usize {
        if let Some((column, is_descending)) = self.order {
            rows.sort_by(|a, b| by_cell(&a[column], &b[column], is_descending));
        }
        let hidden = rows.len().saturating_sub(self.limit);
        rows.truncate(self.limit);
        hidden
    }
}

fn place(order: &Order, columns: &[Column]) -> Result<(usize, bool), ClientError> {
    let is_it = |(name, _): &Column| name.eq_ignore_ascii_case(&order.column);
    let names = || columns.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    let found = columns.iter().position(is_it);
    let found =
        found.ok_or_else(|| ClientError::console_unknown_column(&order.column, &names()))?;
    Ok((found, order.is_descending))
}

/// What is not known comes last, whichever way the others go.
fn by_cell(a: &Cell, b: &Cell, is_descending: bool) -> Ordering {
    let known = match (a, b) {
        (Cell::Null, Cell::Null) => return Ordering::Equal,
        (Cell::Null, _) => return Ordering::Greater,
        (_, Cell::Null) => return Ordering::Less,
        (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
        (Cell::Number(a), Cell::Number(b)) => a.cmp(b),
        (a, b) => real(a).total_cmp(&real(b)),
    };
    if is_descending {
        known.reverse()
    } else {
        known
    }
}

fn real(cell: &Cell) -> f64 {
    match cell {
        Cell::Number(number) => *number as f64,
        Cell::Real(real, _) => *real,
        Cell::Null | Cell::Text(_) => 0.0,
    }
}
