//! Kinds of value with a closed set of words, secrets, and the numbers of connect strings.
//!
//! Owns the enums every other room matches on. Touches nothing.
//! Mirrors: PgBouncer's enum settings (words are case-insensitive) and the per-entry numbers of
//! `[databases]` and `[users]`, where "unset" and often 0 mean "inherit".

use super::value::{Invalid, Kind, List, Remark};
use std::fmt;
use std::time::Duration;

/// An enum of words: declares the type, its text, and its kind.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $accepts:literal { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// The word as it is written and shown.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
            /// Reads the word in any case.
            pub fn from_word(text: &str) -> Option<Self> {
                $(if text.eq_ignore_ascii_case($word) { return Some(Self::$variant); })*
                None
            }
        }

        impl Kind for $name {
            type Value = $name;
            const ACCEPTS: &'static str = $accepts;
            fn parse(text: &str, _remarks: &mut Vec<Remark>) -> Result<Self, Invalid> {
                Self::from_word(text).ok_or(Invalid::UnknownWord)
            }
            fn render(value: &Self) -> Option<String> {
                Some(value.as_str().to_owned())
            }
        }
    };
}

words!(
    /// How clients prove who they are.
    AuthType, "any, trust, plain, md5, cert, hba, ldap, pam, scram-sha-256" {
        /// Nobody is asked, the name is ignored; databases need a forced user.
        Any = "any",
        /// The name must exist, no password.
        Trust = "trust",
        /// Password in clear text.
        Plain = "plain",
        /// MD5 challenge; switches to SCRAM for SCRAM secrets.
        #[default]
        Md5 = "md5",
        /// TLS client certificate.
        Cert = "cert",
        /// As the rules of `auth_hba_file` say.
        Hba = "hba",
        /// LDAP server.
        Ldap = "ldap",
        /// PAM service.
        Pam = "pam",
        /// SCRAM only.
        ScramSha256 = "scram-sha-256",
});

words!(
    /// When a server goes back to the pool.
    PoolMode, "session, transaction, statement" {
        /// When the client leaves.
        #[default]
        Session = "session",
        /// When the transaction ends.
        Transaction = "transaction",
        /// When the statement ends; transactions are refused.
        Statement = "statement",
});

words!(
    /// Whether and how strictly TLS is used.
    SslMode, "disable, allow, prefer, require, verify-ca, verify-full" {
        /// Plain only.
        #[default]
        Disable = "disable",
        /// TLS where the other side does it (PgBouncer treats `allow` as `prefer`).
        Allow = "allow",
        /// TLS where the other side does it.
        Prefer = "prefer",
        /// TLS or nothing, certificate not checked.
        Require = "require",
        /// The certificate must come from the CA file.
        VerifyCa = "verify-ca",
        /// The certificate must also carry the name connected to.
        VerifyFull = "verify-full",
});

words!(
    /// How a list of hosts is used.
    LoadBalance, "round-robin, disable" {
        /// One host after the other.
        #[default]
        RoundRobin = "round-robin",
        /// Stay on a host until a connect to it fails.
        Disable = "disable",
});

words!(
    /// How an entry of the slow log is written.
    SlowLogFormat, "stderr, json" {
        /// PostgreSQL's own, with a prefix.
        #[default]
        Stderr = "stderr",
        /// PostgreSQL's jsonlog.
        Json = "json",
});

words!(
    /// How much of a session a client keeps in transaction mode.
    SessionMode, "strict, tracked, pgbouncer" {
        /// All of it, and servers of which nobody can say what was set are reset.
        #[default]
        Strict = "strict",
        /// All that the text of its statements says.
        Tracked = "tracked",
        /// Only what PostgreSQL reports.
        Pgbouncer = "pgbouncer",
});

words!(
    /// What is done when a process waits for a server that only itself would give back.
    NestedTransactions, "error, reserve, wait" {
        /// A connection from the reserve; where there is none, an error.
        #[default]
        Error = "error",
        /// A connection from the reserve; where there is none, it waits.
        Reserve = "reserve",
        /// Nothing.
        Wait = "wait",
});

/// PostgreSQL's log_line_prefix. Values lose their trailing blank here, so one is always put behind
/// it; single quotes around it, as in postgresql.conf, are taken off.
pub struct LinePrefix;
impl Kind for LinePrefix {
    type Value = String;
    const ACCEPTS: &'static str = "the escapes of log_line_prefix: %a %u %d %r %h %b %p %P %t %m %n %i %e %c %l %s %v %x %q %Q %%";
    const TYPED: bool = false;
    const STRICT: bool = false;
    fn parse(text: &str, _remarks: &mut Vec<Remark>) -> Result<String, Invalid> {
        let bare = text
            .strip_prefix('\'')
            .and_then(|text| text.strip_suffix('\''));
        let prefix = bare.unwrap_or(text).trim_end();
        let mut rest = prefix;
        while let Some((_, after)) = rest.split_once('%') {
            let after = after.trim_start_matches(|c: char| c == '-' || c.is_ascii_digit());
            rest = after
                .strip_prefix(|c| "audrhbpPtmnieclsvxqQ%".contains(c))
                .ok_or(Invalid::UnknownWord)?;
        }
        Ok(prefix.to_owned())
    }
    fn render(value: &String) -> Option<String> {
        Some(value.clone())
    }
}

/// A password: never printed, not even by `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// The clear text, for the login exchange only.
    pub fn reveal(&self) -> &str {
        &self.0
    }
    /// Nothing was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for Password {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "(none)" } else { "***" })
    }
}

/// A password, empty when unset.
pub struct Secret;
impl Kind for Secret {
    type Value = Password;
    const ACCEPTS: &'static str = "a password";
    const TYPED: bool = false;
    const STRICT: bool = false;
    const SECRET: bool = true;
    fn parse(text: &str, _remarks: &mut Vec<Remark>) -> Result<Password, Invalid> {
        Ok(Password::from(text))
    }
    fn render(value: &Password) -> Option<String> {
        Some(if value.is_empty() { "" } else { "***" }.to_owned())
    }
}

/// LDAP parameters: free text with a password in it, NULL until written. SHOW CONFIG shows it, as
/// in PgBouncer; nothing else does.
pub struct SecretText;
impl Kind for SecretText {
    type Value = Option<Password>;
    const ACCEPTS: &'static str = "text";
    const TYPED: bool = false;
    const STRICT: bool = false;
    const SECRET: bool = true;
    fn parse(text: &str, _remarks: &mut Vec<Remark>) -> Result<Option<Password>, Invalid> {
        Ok(Some(Password::from(text)))
    }
    fn render(value: &Option<Password>) -> Option<String> {
        value.as_ref().map(|text| text.reveal().to_owned())
    }
}

/// TLS versions as libtls names them: a list of `tlsv1.0` … `tlsv1.3`, `all`, `secure`, each with
/// an optional `!` in front that takes it away.
pub struct Protocols;
impl Protocols {
    /// Which of TLS 1.2 and 1.3 (all that is spoken here) a list allows; `None` if it holds an
    /// unknown word.
    pub fn versions(list: &List) -> Option<(bool, bool)> {
        let (mut tls12, mut tls13) = (false, false);
        for (position, word) in list.as_text().split([',', ':']).enumerate() {
            let word = word.trim().to_ascii_lowercase();
            let (wanted, name) = match word.strip_prefix('!') {
                Some(name) => (false, name),
                None => (true, word.as_str()),
            };
            if position == 0 && !wanted {
                (tls12, tls13) = (true, true);
            }
            match name {
                "" | "tlsv1.0" | "tlsv1.1" => {}
                "tlsv1.2" => tls12 = wanted,
                "tlsv1.3" => tls13 = wanted,
                "all" | "legacy" | "secure" | "default" | "tlsv1" => {
                    (tls12, tls13) = (wanted, wanted);
                }
                _ => return None,
            }
        }
        Some((tls12, tls13))
    }
}
impl Kind for Protocols {
    type Value = List;
    const ACCEPTS: &'static str = "tlsv1.2, tlsv1.3, secure (both), all; a list of them";
    fn parse(text: &str, _remarks: &mut Vec<Remark>) -> Result<List, Invalid> {
        let list = List::parse(text);
        match Self::versions(&list) {
            None => Err(Invalid::UnknownWord),
            Some((false, false)) => Err(Invalid::NoTlsVersion),
            Some(_) => Ok(list),
        }
    }
    fn render(value: &List) -> Option<String> {
        Some(value.as_text().to_owned())
    }
}

/// `address:port` to listen on, or empty for off.
pub struct ListenAddr;
impl Kind for ListenAddr {
    type Value = String;
    const ACCEPTS: &'static str = "address:port ([address]:port for IPv6), or empty for off";
    fn parse(text: &str, _remarks: &mut Vec<Remark>) -> Result<String, Invalid> {
        if text.is_empty() {
            return Ok(String::new());
        }
        match text.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(text.to_owned())
            }
            _ => Err(Invalid::NotAnAddress),
        }
    }
    fn render(value: &String) -> Option<String> {
        Some(value.clone())
    }
}

/// atoi, as connect strings use it, except that text without any digit is an error: PgBouncer
/// reads `pool_size=abc` as 0, which means unlimited.
fn leading_integer(text: &str, remarks: &mut Vec<Remark>) -> Result<i64, Invalid> {
    let sign = usize::from(text.starts_with(['-', '+']));
    let digits = text[sign..].bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Err(Invalid::NotANumber);
    }
    let end = sign + digits;
    if end < text.len() {
        remarks.push(Remark::RestIgnored(text[end..].to_owned()));
    }
    match text[..end].parse::<i32>() {
        Ok(number) => Ok(i64::from(number)),
        Err(_) => Err(Invalid::OutOfRange),
    }
}

fn shown<T: ToString>(value: &Option<T>) -> Option<String> {
    value.as_ref().map(T::to_string)
}

fn shown_seconds(value: &Option<Duration>) -> Option<String> {
    value.map(|time| time.as_secs().to_string())
}

/// Port of a server.
pub struct ServerPort;
impl Kind for ServerPort {
    type Value = u16;
    const ACCEPTS: &'static str = "a port, 1 to 65535";
    fn parse(text: &str, remarks: &mut Vec<Remark>) -> Result<u16, Invalid> {
        match leading_integer(text, remarks)? {
            0 => Err(Invalid::OutOfRange),
            number => u16::try_from(number).map_err(|_| Invalid::OutOfRange),
        }
    }
    fn render(value: &u16) -> Option<String> {
        Some(value.to_string())
    }
}

/// A size where 0 means unlimited and unset (or negative) means inherit.
pub struct EntrySize;
impl Kind for EntrySize {
    type Value = Option<u32>;
    const ACCEPTS: &'static str = "a whole number, 0 for no limit";
    fn parse(text: &str, remarks: &mut Vec<Remark>) -> Result<Option<u32>, Invalid> {
        Ok(u32::try_from(leading_integer(text, remarks)?).ok())
    }
    fn render(value: &Option<u32>) -> Option<String> {
        shown(value)
    }
}

/// A cap where 0, negative and unset all mean inherit.
pub struct EntryCap;
impl Kind for EntryCap {
    type Value = Option<u32>;
    const ACCEPTS: &'static str = "a whole number, 0 for the global setting";
    fn parse(text: &str, remarks: &mut Vec<Remark>) -> Result<Option<u32>, Invalid> {
        let number = leading_integer(text, remarks)?;
        Ok(u32::try_from(number).ok().filter(|cap| *cap > 0))
    }
    fn render(value: &Option<u32>) -> Option<String> {
        shown(value)
    }
}

/// Whole seconds where 0 and unset mean inherit.
pub struct EntrySeconds;
impl Kind for EntrySeconds {
    type Value = Option<Duration>;
    const ACCEPTS: &'static str = "whole seconds, 0 for the global setting";
    const UNIT: &'static str = "seconds";
    fn parse(text: &str, remarks: &mut Vec<Remark>) -> Result<Option<Duration>, Invalid> {
        let cap = EntryCap::parse(text, remarks)?;
        Ok(cap.map(|seconds| Duration::from_secs(u64::from(seconds))))
    }
    fn render(value: &Option<Duration>) -> Option<String> {
        shown_seconds(value)
    }
}

/// Whole seconds where 0 is a value of its own (wait for ever) and only unset means inherit.
pub struct EntryWait;
impl Kind for EntryWait {
    type Value = Option<Duration>;
    const ACCEPTS: &'static str = "whole seconds, 0 to wait for ever";
    const UNIT: &'static str = "seconds";
    fn parse(text: &str, remarks: &mut Vec<Remark>) -> Result<Option<Duration>, Invalid> {
        let number = leading_integer(text, remarks)?;
        if number < 0 {
            // COMPAT: the manual calls -1 "unset"; the code makes it a wait without end.
            remarks.push(Remark::WaitsForEver);
        }
        let seconds = u64::try_from(number).unwrap_or(0);
        Ok(Some(Duration::from_secs(seconds)))
    }
    fn render(value: &Option<Duration>) -> Option<String> {
        shown_seconds(value)
    }
}

/// A pool mode, inherited when unset.
pub struct EntryMode;
impl Kind for EntryMode {
    type Value = Option<PoolMode>;
    const ACCEPTS: &'static str = PoolMode::ACCEPTS;
    fn parse(text: &str, remarks: &mut Vec<Remark>) -> Result<Option<PoolMode>, Invalid> {
        <PoolMode as Kind>::parse(text, remarks).map(Some)
    }
    fn render(value: &Option<PoolMode>) -> Option<String> {
        value.map(|mode| mode.as_str().to_owned())
    }
}
