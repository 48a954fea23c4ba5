//! What the parameters of a StartupMessage ask for.
//!
//! Owns: sorting them into known, tracked, ignored and refused. Never: I/O.
//! COMPAT: PgBouncer refuses what it neither tracks nor was told to ignore, and ignoring does not
//! shadow tracking (surface 6.1). Where the client's session keeps settings of its own
//! (`session_state`), what PostgreSQL can know is one of those instead.

use crate::config::List;
use crate::error::ClientError;
use crate::session::names;
use crate::wire::startup::{Startup, parse_options};

/// Prefix of protocol options, answered in NegotiateProtocolVersion.
const PROTOCOL_OPTION: &[u8] = b"_pq_.";

/// Settings of one packet, as many as a session may have.
const MOST_SETTINGS: usize = 256;

/// Does the client want a replication connection?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Replication {
    /// No.
    #[default]
    No,
    /// `replication=database`.
    Logical,
    /// `replication=true`.
    Physical,
}

impl Replication {
    /// As the log prints it.
    pub fn as_str(self) -> &'static str {
        match self {
            Replication::No => "no",
            Replication::Logical => "database",
            Replication::Physical => "yes",
        }
    }

    /// COMPAT: PostgreSQL's booleans, and the word `database`.
    fn parse(value: &[u8]) -> Option<Self> {
        let is = |word: &str| value.eq_ignore_ascii_case(word.as_bytes());
        if is("database") {
            Some(Replication::Logical)
        } else if ["true", "yes", "on", "1"].into_iter().any(is) {
            Some(Replication::Physical)
        } else if ["false", "no", "off", "0"].into_iter().any(is) {
            Some(Replication::No)
        } else {
            None
        }
    }
}

/// A startup packet, understood.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    /// Not empty.
    pub user: String,
    /// The user's name where none was given.
    pub database: String,
    /// Tracked parameters by their canonical name, each once.
    pub tracked: Vec<(String, String)>,
    /// Other settings and their raw values; of a name given twice the last counts.
    pub settings: Vec<(String, String)>,
    /// What refuses a client whose session keeps no such settings: about the first of them.
    pub refusal: Option<ClientError>,
    /// Replication, which has no pool.
    pub replication: Replication,
    /// NegotiateProtocolVersion is due: a minor version over 0, or a `_pq_.` option.
    pub is_negotiating: bool,
    /// The `_pq_.` options.
    pub protocol_options: Vec<Vec<u8>>,
}

/// Names that decide what a parameter is.
pub(super) struct Known<'a> {
    /// Canonical names of tracked parameters.
    pub tracked: Vec<&'a str>,
    /// `ignore_startup_parameters`: exact words.
    pub ignored: &'a List,
    /// Settings that PostgreSQL can know are taken.
    pub keeps_settings: bool,
}

impl Known<'_> {
    fn canonical(&self, name: &[u8]) -> Option<&str> {
        let mut names = self.tracked.iter();
        names
            .find(|known| known.as_bytes().eq_ignore_ascii_case(name))
            .copied()
    }

    fn is_ignored(&self, name: &[u8]) -> bool {
        let mut words = self.ignored.iter();
        words.any(|word| word.as_bytes() == name)
    }
}

/// Reads the parameters in their order; the first one that is not acceptable refuses the client.
pub(super) fn read(startup: &Startup<'_>, known: &Known<'_>) -> Result<Wishes, ClientError> {
    let mut wishes = Wishes {
        is_negotiating: startup.minor > 0,
        ..Wishes::default()
    };
    for &(name, value) in &startup.parameters {
        match name {
            b"user" => wishes.user = text(value),
            b"database" => wishes.database = text(value),
            b"options" => {
                // COMPAT: PostgreSQL reads the options first, so that parameters of their own win.
                let explicit = std::mem::take(&mut wishes.settings);
                read_options(value, known, &mut wishes)?;
                wishes.settings.extend(explicit);
            }
            b"replication" => {
                let replication = Replication::parse(value);
                wishes.replication =
                    replication.ok_or_else(|| ClientError::startup_parameter("replication"))?;
            }
            _ if name.starts_with(PROTOCOL_OPTION) => {
                wishes.is_negotiating = true;
                wishes.protocol_options.push(name.to_vec());
            }
            _ => {
                if !track(name, value, known, &mut wishes) && !known.is_ignored(name) {
                    let refusal = ClientError::startup_parameter(&text(name));
                    keep(&mut wishes, (name, value), known, refusal)?;
                }
            }
        }
    }
    if wishes.user.is_empty() {
        return Err(ClientError::no_username());
    }
    if wishes.database.is_empty() {
        wishes.database.clone_from(&wishes.user);
    }
    Ok(wishes)
}

fn read_options(value: &[u8], known: &Known<'_>, wishes: &mut Wishes) -> Result<(), ClientError> {
    let pairs = parse_options(value).ok_or_else(ClientError::options_syntax)?;
    for (name, value) in pairs {
        let is_fine = track(&name, &value, known, wishes)
            || known.is_ignored(&name)
            || known.is_ignored(b"options");
        if !is_fine {
            let refusal = ClientError::startup_option(&text(&name));
            keep(wishes, (&name, &value), known, refusal)?;
        }
    }
    Ok(())
}

/// Takes a setting that is neither tracked nor ignored, or refuses the client.
fn keep(
    wishes: &mut Wishes,
    (name, value): (&[u8], &[u8]),
    known: &Known<'_>,
    refusal: ClientError,
) -> Result<(), ClientError> {
    let name = text(name);
    let is_room = wishes.settings.len() < MOST_SETTINGS;
    if !known.keeps_settings || !is_room || !names::may_set(&name) {
        return Err(refusal);
    }
    wishes.refusal.get_or_insert(refusal);
    wishes.settings.push((name, text(value)));
    Ok(())
}

fn track(name: &[u8], value: &[u8], known: &Known<'_>, wishes: &mut Wishes) -> bool {
    let Some(canonical) = known.canonical(name) else {
        return false;
    };
    let value = text(value);
    match wishes.tracked.iter_mut().find(|(n, _)| n == canonical) {
        Some((_, old)) => *old = value,
        None => wishes.tracked.push((canonical.to_owned(), value)),
    }
    true
}

/// Names and values as text. What is not UTF-8 cannot be in a configuration written in UTF-8, so
/// that a replacement character matches nothing that it should not.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read_pairs(pairs: &[(&str, &str)], ignored: &str) -> Result<Wishes, String> {
        read_as(pairs, ignored, false)
    }

    fn read_as(
        pairs: &[(&str, &str)],
        ignored: &str,
        keeps_settings: bool,
    ) -> Result<Wishes, String> {
        let startup = Startup {
            minor: 0,
            parameters: pairs
                .iter()
                .map(|(n, v)| (n.as_bytes(), v.as_bytes()))
                .collect(),
        };
        let known = Known {
            tracked: vec!["DateStyle", "client_encoding", "application_name"],
            ignored: &List::parse(ignored),
            keeps_settings,
        };
        read(&startup, &known).map_err(|error| error.text.into_owned())
    }

    #[test]
    fn names_and_defaults() {
        let wishes = read_pairs(&[("user", "a"), ("user", "odoo")], "").unwrap();
        assert_eq!((&*wishes.user, &*wishes.database), ("odoo", "odoo"));
        let wishes = read_pairs(&[("database", "shop"), ("user", "odoo")], "").unwrap();
        assert_eq!(wishes.database, "shop");
        assert_eq!(wishes.replication, Replication::No);
        assert!(!wishes.is_negotiating);
        for none in [&[][..], &[("user", "")], &[("database", "x")]] {
            assert_eq!(read_pairs(none, "").unwrap_err(), "no username supplied");
        }
    }

    #[test]
    fn tracked_ignored_refused() {
        let pairs = [
            ("user", "odoo"),
            ("DATESTYLE", "ISO"),
            ("datestyle", "German"),
            ("options", "-c Client_Encoding=UTF8 -c geqo=off"),
        ];
        let refused = read_pairs(&pairs, "").unwrap_err();
        assert_eq!(refused, "unsupported startup parameter in options: geqo");
        for ignored in ["geqo", "options", "x, geqo"] {
            let wishes = read_pairs(&pairs, ignored).unwrap();
            let want = [("DateStyle", "German"), ("client_encoding", "UTF8")];
            let want = want.map(|(n, v)| (n.to_owned(), v.to_owned()));
            assert_eq!(wishes.tracked, want);
        }
        let extra = [("user", "odoo"), ("extra_float_digits", "3")];
        assert_eq!(
            read_pairs(&extra, "Extra_Float_Digits").unwrap_err(),
            "unsupported startup parameter: extra_float_digits"
        );
        assert!(read_pairs(&extra, "extra_float_digits").is_ok());
        // Ignoring does not shadow tracking.
        let app = [("user", "odoo"), ("application_name", "shop")];
        let wishes = read_pairs(&app, "application_name").unwrap();
        assert_eq!(wishes.tracked.len(), 1);
        assert_eq!(
            read_pairs(&[("user", "odoo"), ("options", "-d 5")], "options").unwrap_err(),
            ClientError::options_syntax().text
        );
    }

    #[test]
    fn settings_that_postgresql_can_know_are_kept() {
        let pairs = [
            ("user", "odoo"),
            ("geqo", "on"),
            ("work_mem", "1MB"),
            ("options", "-c geqo=off --app.user-id=7 -c DateStyle=ISO"),
            ("lock_timeout", "1"),
        ];
        let wishes = read_as(&pairs, "lock_timeout", true).unwrap();
        let want = [
            ("geqo", "off"),
            ("app.user_id", "7"),
            ("geqo", "on"),
            ("work_mem", "1MB"),
        ];
        assert_eq!(
            wishes.settings,
            want.map(|(n, v)| (n.to_owned(), v.to_owned()))
        );
        assert_eq!(wishes.tracked.len(), 1);
        let refusal = wishes.refusal.unwrap();
        assert_eq!(refusal.text, "unsupported startup parameter: geqo");
        for (name, value, want) in [
            ("foo", "1", "unsupported startup parameter: foo"),
            (
                "log_connections",
                "1",
                "unsupported startup parameter: log_connections",
            ),
            (
                "options",
                "-c foo=1",
                "unsupported startup parameter in options: foo",
            ),
        ] {
            let refused = read_as(&[("user", "a"), (name, value)], "", true);
            assert_eq!(refused.unwrap_err(), want);
        }
        let plain = read_as(&[("user", "a")], "", true).unwrap();
        assert_eq!((plain.settings, plain.refusal), (Vec::new(), None));
    }

    #[test]
    fn replication_and_protocol_options() {
        for (value, want) in [
            ("database", Replication::Logical),
            ("TRUE", Replication::Physical),
            ("1", Replication::Physical),
            ("off", Replication::No),
        ] {
            let wishes = read_pairs(&[("user", "a"), ("replication", value)], "").unwrap();
            assert_eq!(wishes.replication, want, "{value}");
        }
        assert!(read_pairs(&[("user", "a"), ("replication", "maybe")], "").is_err());
        let wishes = read_pairs(&[("user", "a"), ("_pq_.x", "1")], "").unwrap();
        assert!(wishes.is_negotiating);
        assert_eq!(wishes.protocol_options, [b"_pq_.x".to_vec()]);
    }
}
