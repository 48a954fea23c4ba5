//! What is checked between the startup packet and the password.
//!
//! Owns: the order of these checks, who may use the console, the line `login attempt`. Never:
//! passwords. Source: surface 6.1 (order), 3.1 (console), 4.12 (limits).

use std::sync::Arc;

use super::gate::{ConsoleRight, Gate, Live, Target, Who};
use super::parameters::{self, Known, Replication, Wishes};
use super::{End, Login};
use crate::config::{AuthType, CONSOLE_DATABASE, Config, SessionMode, Settings};
use crate::error::ClientError;
use crate::wire::startup::{Packet, parse_packet};
use crate::wire::welcome;

/// Longest database name that can exist (surface 1.4).
const LONGEST_DATABASE: usize = 63;
/// Longest user name that can log in.
const LONGEST_USER: usize = 127;
/// The account that may use the console over the Unix socket without a password.
const OWN_USER: &str = "pgbouncer";

/// A client that passed every check but the password.
pub(super) struct Entered<D> {
    pub who: Who,
    pub target: Target<D>,
    /// No password is asked for.
    pub is_proven: bool,
}

impl<G: Gate> Login<G> {
    /// Reads the parameters, and lines up NegotiateProtocolVersion where it is due.
    pub(super) fn read_wishes(&mut self, packet: &[u8], config: &Config) -> Result<Wishes, End> {
        let settings = &config.settings;
        let Ok(Packet::Startup(startup)) = parse_packet(packet) else {
            return Err(ClientError::startup_layout().into());
        };
        let known = Known {
            tracked: self.gate.tracked_names().collect(),
            ignored: &settings.ignore_startup_parameters,
            keeps_settings: config.own.session_state != SessionMode::Pgbouncer,
        };
        let mut wishes = parameters::read(&startup, &known)?;
        if wishes.is_negotiating {
            let options = wishes.protocol_options.iter();
            let options: Vec<&[u8]> = options.map(Vec::as_slice).collect();
            let version = welcome::PROTOCOL_3_0;
            welcome::negotiate_protocol_version(&mut self.out, version, &options);
        }
        if settings.application_name_add_host {
            self.add_host(&mut wishes);
        }
        Ok(wishes)
    }

    /// COMPAT: `application_name_add_host`; `app` stands in for a name that was not given.
    fn add_host(&self, wishes: &mut Wishes) {
        let Some(peer) = self.stream.as_ref().and_then(|stream| stream.peer().ok()) else {
            return;
        };
        const NAME: &str = "application_name";
        match wishes.tracked.iter_mut().find(|(name, _)| name == NAME) {
            Some((_, value)) => *value = format!("{value} - {peer}"),
            None => {
                let value = format!("app - {peer}");
                wishes.tracked.push((NAME.to_owned(), value));
            }
        }
    }

    /// The checks, in PgBouncer's order.
    pub(super) fn enter(
        &mut self,
        wishes: &Wishes,
        live: &G::Live,
    ) -> Result<Entered<G::Database>, End> {
        let settings = &live.config().settings;
        let is_console = wishes.database == CONSOLE_DATABASE;
        self.gate.admit(is_console)?;
        let mut who = Who {
            database: Arc::from(&*wishes.database),
            user: Arc::from(&*wishes.user),
            tls: self.stream()?.tls_info().map(String::into_boxed_str),
        };
        let is_own = is_console && self.is_own_account(&who);
        let right = if is_own {
            Some(ConsoleRight::Admin)
        } else {
            console_right(live.config(), &who.user)
        };
        let target = self.find_target(&who, is_console, right);
        if who.user.len() > LONGEST_USER {
            self.log_failed(settings, &who);
            return Err(ClientError::username_too_long().into());
        }
        if let (Some(refusal), Target::Database(database)) = (&wishes.refusal, &target)
            && !self.gate.keeps_settings(database, &who.user)
        {
            return Err(refusal.clone().into());
        }
        if settings.auth_type == AuthType::Any && !is_console {
            who.user = self.forced_user(&target)?;
        }
        if !matches!(target, Target::Console(ConsoleRight::Admin)) {
            self.gate.claim(&who, &target)?;
        }
        self.gate.identify(&who);
        self.log_attempt(settings, &who, wishes.replication);
        if is_console && right.is_none() {
            return Err(ClientError::console_not_allowed().into());
        }
        if wishes.replication != Replication::No {
            return Err(ClientError::replication_unsupported().into());
        }
        if is_own && settings.log_connections {
            let prefix = self.gate.log_prefix();
            log::info!("{prefix}pgbouncer access from unix socket");
        }
        Ok(Entered {
            who,
            target,
            is_proven: is_own,
        })
    }

    fn find_target(
        &self,
        who: &Who,
        is_console: bool,
        right: Option<ConsoleRight>,
    ) -> Target<G::Database> {
        if is_console {
            // Without a right the client is refused before this matters; it counts as the lesser.
            return Target::Console(right.unwrap_or(ConsoleRight::Stats));
        }
        if who.database.len() > LONGEST_DATABASE {
            return Target::Unknown;
        }
        match self.gate.find_database(&who.database) {
            Some(database) => Target::Database(database),
            None => Target::Unknown,
        }
    }

    fn forced_user(&self, target: &Target<G::Database>) -> Result<Arc<str>, End> {
        let forced = match target {
            Target::Database(database) => self.gate.forced_user(database),
            Target::Console(_) | Target::Unknown => None,
        };
        forced.ok_or_else(|| {
            let prefix = self.gate.log_prefix();
            log::error!("{prefix}auth_type=any requires forced user");
            ClientError::bouncer_config().into()
        })
    }

    /// The account that runs this process, over the Unix socket.
    fn is_own_account(&self, who: &Who) -> bool {
        let stream = self.stream.as_ref();
        let peer = stream.and_then(|stream| stream.peer_cred());
        self.is_unix
            && *who.user == *OWN_USER
            && peer.is_some_and(|peer| peer.uid == nix::unistd::Uid::current().as_raw())
    }

    fn log_attempt(&self, settings: &Settings, who: &Who, replication: Replication) {
        if settings.log_connections {
            log::info!(
                "{}login attempt: db={} user={} tls={} replication={}",
                self.gate.log_prefix(),
                who.database,
                who.user,
                who.tls.as_deref().unwrap_or("no"),
                replication.as_str()
            );
        }
    }

    /// `login failed: ...`, for the failures that PgBouncer reports so (surface 2.4).
    pub(super) fn log_failed(&self, settings: &Settings, who: &Who) {
        if settings.log_connections {
            let prefix = self.gate.log_prefix();
            log::info!(
                "{prefix}login failed: db={} user={}",
                who.database,
                who.user
            );
        }
    }
}

/// What a name may do on the console.
fn console_right(config: &Config, user: &str) -> Option<ConsoleRight> {
    let settings = &config.settings;
    if settings.admin_users.has(user) {
        return Some(ConsoleRight::Admin);
    }
    // COMPAT: with auth_type = any every other name may read (surface 3.1).
    let may_read = settings.stats_users.has(user)
        || config.own.insight_users.has(user)
        || settings.auth_type == AuthType::Any;
    may_read.then_some(ConsoleRight::Stats)
}
