//! Proof of identity: trust, clear text, md5, SCRAM.
//!
//! Owns: which method a user gets and its messages. May touch: `auth`. Never: says whether a user
//! exists: unknown ones run the same exchange and fail at its end. PBKDF2 runs off the lane.
//! Source: surface 6.8; PostgreSQL "Message Flow".

use std::sync::Arc;

use super::gate::{Gate, Live, Who};
use super::{EOF, End, Login};
use crate::auth::scram::{self, CapturedKeys, ScramError, ScramSecret, ServerExchange};
use crate::auth::{SecretKind, md5};
use crate::config::{AuthType, Secret};
use crate::error::ClientError;
use crate::wire::frame::{self, HEADER, Peeked};
use crate::wire::frontend::tag;
use crate::wire::{startup, welcome};

/// Longest password: what `auth_file` can hold (surface 1.7).
const LONGEST_PASSWORD: usize = 65_530;

impl<G: Gate> Login<G> {
    /// Runs the exchange that `auth_type` and the user's secret ask for. Gives the keys of a SCRAM
    /// login that can be used on a server with the same secret.
    pub(super) async fn prove(
        &mut self,
        who: &Who,
        live: &G::Live,
    ) -> Result<Option<CapturedKeys>, End> {
        let settings = &live.config().settings;
        let secret = live.secret(&who.user).map(kind_of);
        if secret.is_none() && settings.auth_type != AuthType::Any {
            log::info!("{}no such user: {}", self.gate.log_prefix(), who.user);
        }
        match (settings.auth_type, secret) {
            (AuthType::Any, _) | (AuthType::Trust, Some(_)) => Ok(None),
            (AuthType::Trust, None) => Err(ClientError::trust_failed().into()),
            (AuthType::Plain, secret) => self.clear_text(who, secret).await.map(|()| None),
            (AuthType::Md5, secret @ Some(SecretKind::Scram(_)))
            | (AuthType::ScramSha256, secret) => {
                let iterations = settings.scram_iterations.clamp(1, scram::MAX_ITERATIONS);
                self.scram(who, secret, iterations).await
            }
            (AuthType::Md5, secret) => self.md5(who, secret).await.map(|()| None),
            (AuthType::Cert | AuthType::Hba | AuthType::Ldap | AuthType::Pam, _) => {
                Err(ClientError::bouncer_config().into())
            }
        }
    }

    /// The body of the client's next message, which must be a `p`.
    async fn answer(&mut self) -> Result<Vec<u8>, End> {
        self.fill(HEADER).await?;
        let total = match frame::peek(self.input.bytes(), u32::MAX) {
            Peeked::Header(header) if header.tag == tag::PASSWORD => header.total,
            Peeked::Header(header) if header.tag == tag::TERMINATE => {
                return Err(End::Gone("client close request".into()));
            }
            Peeked::Header(_) => return Err(ClientError::bad_packet().into()),
            Peeked::Short | Peeked::Bad => {
                return Err(ClientError::bad_header(&self.input.bytes()[..HEADER]).into());
            }
        };
        if total > HEADER + LONGEST_PASSWORD + 1 {
            return Err(ClientError::password_too_long().into());
        }
        self.fill(total).await?;
        let mut body = self.input.take(total);
        body.drain(..HEADER);
        Ok(body)
    }

    async fn password(&mut self) -> Result<Vec<u8>, End> {
        self.flush().await?;
        let body = self.answer().await?;
        match startup::parse_password(&body) {
            Ok([]) => Err(ClientError::empty_password().into()),
            Ok(password) => Ok(password.to_vec()),
            Err(_) => Err(ClientError::bad_packet().into()),
        }
    }

    async fn clear_text(&mut self, who: &Who, secret: Option<SecretKind>) -> Result<(), End> {
        welcome::authentication_cleartext(&mut self.out);
        let password = self.password().await?;
        let Some(secret) = secret else {
            return Err(ClientError::password_failed().into());
        };
        let cache = self.gate.key_cache();
        let user = Arc::clone(&who.user);
        let is_right = if secret.is_slow(&password, &cache) {
            off_the_lane(move || secret.verify_password(user.as_bytes(), &password, &cache)).await?
        } else {
            secret.verify_password(user.as_bytes(), &password, &cache)
        };
        if is_right {
            Ok(())
        } else {
            Err(ClientError::password_failed().into())
        }
    }

    async fn md5(&mut self, who: &Who, secret: Option<SecretKind>) -> Result<(), End> {
        let mut salt = [0; 4];
        getrandom::fill(&mut salt).map_err(|_| ClientError::bouncer_config())?;
        welcome::authentication_md5(&mut self.out, salt);
        let answer = self.password().await?;
        let secret = secret.unwrap_or(SecretKind::Empty);
        if md5::verify(&secret, who.user.as_bytes(), salt, &answer) {
            Ok(())
        } else {
            Err(ClientError::password_failed().into())
        }
    }

    async fn scram(
        &mut self,
        who: &Who,
        secret: Option<SecretKind>,
        iterations: u32,
    ) -> Result<Option<CapturedKeys>, End> {
        welcome::authentication_sasl(&mut self.out, scram::MECHANISM);
        self.flush().await?;
        let body = self.answer().await?;
        let (mechanism, first) =
            startup::parse_sasl_initial(&body).map_err(|_| ClientError::bad_packet())?;
        if mechanism != scram::MECHANISM.as_bytes() {
            return Err(ClientError::sasl_mechanism().into());
        }
        let is_stored = matches!(secret, Some(SecretKind::Scram(_)));
        let (secret, is_mock) = self.scram_secret(who, secret, iterations).await?;
        let (exchange, reply) = ServerExchange::start(first, secret, is_mock)
            .map_err(|error| self.scram_failed(error))?;
        welcome::authentication_sasl_continue(&mut self.out, &reply);
        self.flush().await?;
        let last = self.answer().await?;
        let success = exchange
            .finish(&last)
            .map_err(|error| self.scram_failed(error))?;
        // Goes out with the welcome: one write.
        welcome::authentication_sasl_final(&mut self.out, &success.message);
        Ok(is_stored.then_some(success.captured))
    }

    /// What the exchange runs against, and whether it is bound to fail.
    async fn scram_secret(
        &mut self,
        who: &Who,
        secret: Option<SecretKind>,
        iterations: u32,
    ) -> Result<(Arc<ScramSecret>, bool), End> {
        let cache = self.gate.key_cache();
        let password = match secret {
            Some(SecretKind::Scram(secret)) => return Ok((secret, false)),
            Some(SecretKind::Plain(password)) => password,
            // COMPAT: a md5 entry cannot pass SCRAM (surface 6.8).
            Some(SecretKind::Md5(_) | SecretKind::Empty) | None => {
                let mock = cache.mock(who.user.as_bytes(), iterations);
                return Ok((Arc::new(mock), true));
            }
        };
        let cached = cache.cached_secret(who.user.as_bytes(), password.as_bytes(), iterations);
        if let Some(secret) = cached {
            return Ok((Arc::new(secret), false));
        }
        let (cache, user) = (Arc::clone(&cache), Arc::clone(&who.user));
        let derive = move || cache.secret(user.as_bytes(), password.as_bytes(), iterations);
        Ok((Arc::new(off_the_lane(derive).await?), false))
    }

    fn scram_failed(&self, error: ScramError) -> End {
        log::debug!("{}SASL: {error}", self.gate.log_prefix());
        ClientError::sasl_failed().into()
    }
}

/// Runs milliseconds of work on the runtime's blocking threads.
async fn off_the_lane<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, End> {
    // It fails when the process is going down, or the work panicked: no login either way.
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| End::Gone(EOF))
}

fn kind_of(secret: &Secret) -> SecretKind {
    match secret {
        Secret::Empty => SecretKind::Empty,
        Secret::Plain(text) | Secret::Md5(text) | Secret::Scram(text) => SecretKind::parse(text),
    }
}
