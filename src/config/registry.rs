//! The form of the registry: what is known about a setting, and the macro that turns one table
//! into a struct, its defaults and the list that everything else walks.
//!
//! Owns nothing but the form; the tables are in `registry_settings.rs` ([pgbouncer]),
//! `registry_own.rs` ([pgweir]) and `registry_entries.rs` ([databases], [users], [peers]).
//! SHOW CONFIG, SET, the reference and `--check` all read these tables and nothing else.

use super::value::{Invalid, Kind, Remark};

/// When a changed value is taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// At the next reload or SET.
    Live,
    /// Only at start; a reload keeps the running value.
    Boot,
}

/// What a setting does in this release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It works.
    Effective,
    /// Accepted and ignored; named in one warning when it is set.
    NoEffectYet,
    /// It guards something and does not work yet: a value other than the default or one of these
    /// is an error, so that nobody believes himself protected.
    Protects(&'static [&'static str]),
}

/// One setting of the section whose values live in `T`.
pub struct Entry<T: 'static> {
    /// As it is written in the file; also the name of the field.
    pub key: &'static str,
    /// The default as it would be written; `None` = NULL.
    pub default: Option<&'static str>,
    /// What may be written.
    pub accepts: &'static str,
    /// Unit of a plain number, else empty.
    pub unit: &'static str,
    /// When a change is taken up.
    pub reload: Reload,
    /// What it does in this release.
    pub status: Status,
    /// What it is for, in a sentence or two.
    pub help: &'static str,
    /// A trailing ` ; comment` is cut off.
    pub(super) typed: bool,
    /// PgBouncer refuses a value with a trailing comment.
    pub(super) strict: bool,
    /// Never shown in logs.
    pub(super) secret: bool,
    pub(super) apply: fn(&mut T, &str, &mut Vec<Remark>) -> Result<(), Invalid>,
    pub(super) show: fn(&T) -> Option<String>,
    pub(super) copy: fn(&mut T, &T),
    pub(super) same: fn(&T, &T) -> bool,
}

impl<T: Default> Entry<T> {
    /// The current value as SHOW CONFIG prints it; `None` = NULL.
    pub fn show(&self, owner: &T) -> Option<String> {
        (self.show)(owner)
    }

    /// Differs from its default?
    pub fn is_changed(&self, owner: &T) -> bool {
        (self.show)(owner) != (self.show)(&T::default())
    }

    /// Guards something, is set to something other than its default, and does not work yet?
    pub fn is_unkept_promise(&self, owner: &T) -> bool {
        let Status::Protects(works) = self.status else {
            return false;
        };
        let value = (self.show)(owner).unwrap_or_default();
        self.is_changed(owner)
            && !value.is_empty()
            && !works.iter().any(|word| word.eq_ignore_ascii_case(&value))
    }

    /// The value for a log or a report: secrets masked, NULL and empty made visible.
    pub(super) fn show_masked(&self, owner: &T) -> String {
        match (self.show)(owner) {
            None => "(unset)".to_owned(),
            Some(text) if self.secret && !text.is_empty() => "***".to_owned(),
            Some(text) if text.is_empty() => "\"\"".to_owned(),
            Some(text) => text,
        }
    }
}

/// Finds a key; keys are case-sensitive.
pub(super) fn find<T>(table: &'static [Entry<T>], key: &str) -> Option<&'static Entry<T>> {
    table.iter().find(|entry| entry.key == key)
}

/// The value a field starts with. The registry's test holds that every default parses.
pub(super) fn default_of<K: Kind>(text: Option<&str>) -> K::Value {
    text.and_then(|text| K::parse(text, &mut Vec::new()).ok())
        .unwrap_or_default()
}

/// Turns rows `key: Kind = default, Reload, Status, "help";` into the struct (field name = key),
/// its defaults, and the table.
macro_rules! registry {
    ($(#[$doc:meta])* $owner:ident, $table:ident {
        $( $key:ident : $kind:ty = $default:expr, $reload:ident, $status:expr, $help:literal; )*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $owner {
            $( #[doc = $help] pub $key: <$kind as Kind>::Value, )*
        }

        impl Default for $owner {
            fn default() -> Self {
                Self { $( $key: default_of::<$kind>($default), )* }
            }
        }

        /// Every key of the section, in the order in which it is shown.
        pub static $table: &[Entry<$owner>] = &[ $( Entry {
            key: stringify!($key),
            default: $default,
            accepts: <$kind as Kind>::ACCEPTS,
            unit: <$kind as Kind>::UNIT,
            reload: Reload::$reload,
            status: $status,
            help: $help,
            typed: <$kind as Kind>::TYPED,
            strict: <$kind as Kind>::STRICT,
            secret: <$kind as Kind>::SECRET,
            apply: |owner, text, remarks| {
                owner.$key = <$kind as Kind>::parse(text, remarks)?;
                Ok(())
            },
            show: |owner| <$kind as Kind>::render(&owner.$key),
            copy: |to, from| to.$key = from.$key.clone(),
            same: |left, right| left.$key == right.$key,
        }, )* ];
    };
}
pub(super) use registry;
