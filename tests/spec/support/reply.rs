//! Backend messages, taken apart as far as tests look at them.

/// One typed message as it came.
#[derive(Clone, Debug)]
pub struct Message {
    pub tag: u8,
    pub body: Vec<u8>,
}

/// An ErrorResponse or NoticeResponse with all its fields in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PgError {
    pub fields: Vec<(char, String)>,
}

impl PgError {
    pub fn parse(body: &[u8]) -> Self {
        let fields = body
            .split(|byte| *byte == 0)
            .filter(|part| !part.is_empty())
            .map(|part| {
                (
                    part[0] as char,
                    String::from_utf8_lossy(&part[1..]).into_owned(),
                )
            })
            .collect();
        Self { fields }
    }

    pub fn field(&self, key: char) -> &str {
        self.fields
            .iter()
            .find(|(k, _)| *k == key)
            .map_or("", |(_, value)| value)
    }

    pub fn severity(&self) -> &str {
        self.field('S')
    }

    pub fn sqlstate(&self) -> &str {
        self.field('C')
    }

    pub fn text(&self) -> &str {
        self.field('M')
    }
}

/// Everything that came up to ReadyForQuery (or the end of the connection).
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// Tags in order, e.g. `TDCZ`.
    pub kinds: String,
    pub columns: Vec<String>,
    pub types: Vec<u32>,
    pub rows: Vec<Vec<Option<String>>>,
    /// Command tags, e.g. `SELECT 1`.
    pub tags: Vec<String>,
    pub errors: Vec<PgError>,
    pub notices: Vec<PgError>,
    pub parameters: Vec<(String, String)>,
    pub copied: Vec<u8>,
    pub notifications: Vec<Notification>,
    /// I, T or E of the last ReadyForQuery; 0 when the connection ended instead.
    pub status: u8,
}

impl Reply {
    pub fn take(&mut self, message: Message) {
        self.kinds.push(message.tag as char);
        let body = message.body.as_slice();
        match message.tag {
            b'T' => self.take_columns(body),
            b'D' => self.rows.push(row(body)),
            b'C' => self.tags.push(text(body)),
            b'E' => self.errors.push(PgError::parse(body)),
            b'N' => self.notices.push(PgError::parse(body)),
            b'S' => {
                let mut parts = body.split(|byte| *byte == 0);
                let key = text(parts.next().unwrap_or_default());
                self.parameters
                    .push((key, text(parts.next().unwrap_or_default())));
            }
            b'A' => self.notifications.push(Notification::parse(body)),
            b'd' => self.copied.extend_from_slice(body),
            b'Z' => self.status = body.first().copied().unwrap_or(0),
            _ => {}
        }
    }

    fn take_columns(&mut self, body: &[u8]) {
        self.columns.clear();
        self.types.clear();
        let mut rest = &body[2..];
        while let Some(end) = rest.iter().position(|byte| *byte == 0) {
            let after = &rest[end + 1..];
            self.columns.push(text(&rest[..end]));
            self.types.push(u32::from_be_bytes(
                after[6..10].try_into().expect("4 bytes"),
            ));
            rest = &after[18..];
        }
    }

    /// The error a test expects to be there.
    pub fn error(&self) -> &PgError {
        self.errors
            .first()
            .unwrap_or_else(|| panic!("an error, but got {self:?}"))
    }

    /// First column of the first row.
    pub fn one(&self) -> String {
        match self.rows.first().and_then(|row| row.first()) {
            Some(Some(value)) => value.clone(),
            other => panic!("one value, but got {other:?} in {self:?}"),
        }
    }

    /// The value of `column` in the first row for which `pick` is true; NULL is `""`.
    pub fn cell(&self, column: &str, pick: impl Fn(&Row<'_>) -> bool) -> Option<String> {
        self.table()
            .find(|row| pick(row))
            .map(|row| row.get(column).to_owned())
    }

    /// The rows with access by column name.
    pub fn table(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|cells| Row {
            columns: &self.columns,
            cells,
        })
    }
}

/// A NotificationResponse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    pub pid: i32,
    pub channel: String,
    pub payload: String,
}

impl Notification {
    pub fn parse(body: &[u8]) -> Self {
        let (pid, rest) = body.split_at(4);
        let mut words = rest.split(|byte| *byte == 0);
        Self {
            pid: i32::from_be_bytes(pid.try_into().expect("4 bytes")),
            channel: text(words.next().expect("a channel")),
            payload: text(words.next().expect("a payload")),
        }
    }
}

/// One row of a reply.
pub struct Row<'a> {
    columns: &'a [String],
    cells: &'a [Option<String>],
}

impl Row<'_> {
    /// Value by column name; NULL is `""`.
    pub fn get(&self, column: &str) -> &str {
        let index = self.columns.iter().position(|name| name == column);
        let index = index.unwrap_or_else(|| panic!("no column {column} in {:?}", self.columns));
        self.cells[index].as_deref().unwrap_or_default()
    }

    pub fn number(&self, column: &str) -> i64 {
        let text = self.get(column);
        text.parse()
            .unwrap_or_else(|_| panic!("{column} is no number: {text}"))
    }
}

fn row(body: &[u8]) -> Vec<Option<String>> {
    let mut cells = Vec::new();
    let mut rest = &body[2..];
    while rest.len() >= 4 {
        let length = i32::from_be_bytes(rest[..4].try_into().expect("4 bytes"));
        rest = &rest[4..];
        let Ok(length) = usize::try_from(length) else {
            cells.push(None);
            continue;
        };
        cells.push(Some(text(&rest[..length])));
        rest = &rest[length..];
    }
    cells
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .trim_end_matches('\0')
        .to_owned()
}
