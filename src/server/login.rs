//! The login: from the startup packet to the first ReadyForQuery.
//!
//! Owns: the exchange of one login. Never: believes that a server knows the secret before SCRAM
//! has proved it; sends a clear-text password that was stored as a hash.
//! Source: PostgreSQL "Message Flow: Start-up" and "SASL Authentication".

use std::sync::Arc;

use super::connect::{ServerSecret, Target};
use super::error::{OpenError, PasswordHint};
use super::frames::Frames;
use crate::auth::md5;
use crate::auth::scram::{
    self, CapturedKeys, ClientChallenge, ClientExchange, ClientVerifier, KeyCache, ScramError,
};
use crate::net::Stream;
use crate::wire::backend::{self, Status, tag};
use crate::wire::frame::{self, HEADER};
use crate::wire::frontend;
use crate::wire::welcome::{AUTHENTICATION, NEGOTIATE_PROTOCOL_VERSION, PROTOCOL_3_0};

/// Codes of Authentication messages.
const AUTH_OK: u32 = 0;
const AUTH_CLEARTEXT: u32 = 3;
const AUTH_MD5: u32 = 5;
const AUTH_SASL: u32 = 10;
const AUTH_SASL_CONTINUE: u32 = 11;
const AUTH_SASL_FINAL: u32 = 12;
/// Longest secret of BackendKeyData, in bytes (protocol 3.2).
const MAX_KEY: usize = 256;
/// More parameters than any server reports.
const MAX_PARAMETERS: usize = 256;

/// What the server said on the way.
#[derive(Default)]
pub(super) struct Welcome {
    pub(super) backend_pid: i32,
    pub(super) cancel_key: Vec<u8>,
    pub(super) parameters: Vec<(String, String)>,
}

/// How far SCRAM is.
enum Exchange {
    None,
    Started(ClientExchange),
    Answered(ClientVerifier),
    Proved,
}

struct Login<'a> {
    target: &'a Target,
    exchange: Exchange,
    is_authenticated: bool,
    welcome: Welcome,
}

/// Runs the login to its end. Not cancel safe: a login cannot be taken up again.
pub(super) async fn run(stream: &mut Stream, target: &Target) -> Result<Welcome, OpenError> {
    let startup = startup_packet(target)?;
    let sent = stream.write_all(&startup).await;
    sent.map_err(OpenError::broken)?;
    let mut login = Login {
        target,
        exchange: Exchange::None,
        is_authenticated: false,
        welcome: Welcome::default(),
    };
    let mut frames = Frames::default();
    loop {
        let whole = frames.next(stream).await?;
        match whole[0] {
            AUTHENTICATION => {
                if let Some(answer) = login.authentication(&whole[HEADER..]).await? {
                    let sent = stream.write_all(&answer).await;
                    sent.map_err(OpenError::broken)?;
                }
            }
            tag::READY_FOR_QUERY => {
                login.ready(whole)?;
                if frames.has_more() {
                    return Err(OpenError::Protocol("bytes behind the first ReadyForQuery"));
                }
                return Ok(login.welcome);
            }
            _ => login.other(whole)?,
        }
    }
}

/// StartupMessage 3.0: the server's newer protocols gain us nothing, and 3.0 works everywhere.
fn startup_packet(target: &Target) -> Result<Vec<u8>, OpenError> {
    let mut packet = vec![0; 4];
    packet.extend_from_slice(&PROTOCOL_3_0.to_be_bytes());
    let own = [("user", &target.user), ("database", &target.database)];
    let more = target
        .startup
        .iter()
        .map(|(name, value)| (name.as_str(), value));
    for (name, value) in own.into_iter().chain(more) {
        for text in [name, value.as_str()] {
            if text.contains('\0') {
                return Err(OpenError::Protocol("zero byte in a startup parameter"));
            }
            packet.extend_from_slice(text.as_bytes());
            packet.push(0);
        }
    }
    packet.push(0);
    let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
    packet[..4].copy_from_slice(&length.to_be_bytes());
    Ok(packet)
}

impl Login<'_> {
    /// An Authentication message; returns what to send.
    async fn authentication(&mut self, body: &[u8]) -> Result<Option<Vec<u8>>, OpenError> {
        let (code, data) = body
            .split_first_chunk()
            .ok_or(OpenError::Protocol("short Authentication message"))?;
        if self.is_authenticated {
            return Err(OpenError::Protocol("Authentication after AuthenticationOk"));
        }
        match u32::from_be_bytes(*code) {
            AUTH_OK => {
                if matches!(self.exchange, Exchange::Started(_) | Exchange::Answered(_)) {
                    // Whoever skips its part of SCRAM does not know the secret.
                    return Err(OpenError::Scram(ScramError::WrongServer));
                }
                self.is_authenticated = true;
                Ok(None)
            }
            AUTH_CLEARTEXT => self.cleartext().map(Some),
            AUTH_MD5 => {
                let salt = <[u8; 4]>::try_from(data);
                let salt = salt.map_err(|_| OpenError::Protocol("md5 salt of wrong length"))?;
                self.md5(salt).map(Some)
            }
            AUTH_SASL => self.sasl_start(data).map(Some),
            AUTH_SASL_CONTINUE => self.sasl_continue(data).await.map(Some),
            AUTH_SASL_FINAL => self.sasl_final(data).map(|()| None),
            _ => Err(OpenError::Protocol("unsupported authentication method")),
        }
    }

    fn cleartext(&self) -> Result<Vec<u8>, OpenError> {
        match &self.target.secret {
            ServerSecret::Plain(password) => Ok(password_message(password.as_bytes())),
            ServerSecret::None => Err(wrong(PasswordHint::NoPassword)),
            _ => Err(wrong(PasswordHint::HashForClear)),
        }
    }

    fn md5(&self, salt: [u8; 4]) -> Result<Vec<u8>, OpenError> {
        let stored = match &self.target.secret {
            ServerSecret::Plain(password) => {
                md5::hash(self.target.user.as_bytes(), password.as_bytes())
            }
            ServerSecret::Md5(stored) => *stored,
            ServerSecret::None => return Err(wrong(PasswordHint::NoPassword)),
            ServerSecret::ScramSecret | ServerSecret::Captured(_) => {
                return Err(wrong(PasswordHint::ScramForMd5));
            }
        };
        Ok(password_message(&md5::response(&stored, salt)))
    }

    fn sasl_start(&mut self, mut mechanisms: &[u8]) -> Result<Vec<u8>, OpenError> {
        if !matches!(self.exchange, Exchange::None) {
            return Err(OpenError::Protocol("SASL begun twice"));
        }
        match &self.target.secret {
            ServerSecret::Plain(_) | ServerSecret::Captured(_) => {}
            ServerSecret::None => return Err(wrong(PasswordHint::NoPassword)),
            ServerSecret::Md5(_) => return Err(wrong(PasswordHint::Md5ForScram)),
            ServerSecret::ScramSecret => return Err(wrong(PasswordHint::NoKeys)),
        }
        let mut is_offered = false;
        while let Some((mechanism, rest)) = frame::cstr(mechanisms) {
            is_offered |= mechanism == scram::MECHANISM.as_bytes();
            mechanisms = rest;
        }
        if !is_offered {
            return Err(OpenError::Protocol("no SASL mechanism in common"));
        }
        let (exchange, first) = ClientExchange::start().map_err(OpenError::Scram)?;
        self.exchange = Exchange::Started(exchange);
        let mut body = Vec::with_capacity(64);
        body.extend_from_slice(scram::MECHANISM.as_bytes());
        body.push(0);
        let length = u32::try_from(first.len()).unwrap_or(u32::MAX);
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(&first);
        Ok(message(&body))
    }

    async fn sasl_continue(&mut self, data: &[u8]) -> Result<Vec<u8>, OpenError> {
        let Exchange::Started(exchange) = std::mem::replace(&mut self.exchange, Exchange::None)
        else {
            return Err(OpenError::Protocol("SASL continued out of order"));
        };
        let challenge = exchange.challenge(data).map_err(OpenError::Scram)?;
        let (verifier, last) = match &self.target.secret {
            ServerSecret::Plain(password) => {
                prove(challenge, password, &self.target.dialing.keys).await?
            }
            ServerSecret::Captured(captured) => prove_captured(challenge, captured)?,
            _ => return Err(wrong(PasswordHint::NoKeys)),
        };
        self.exchange = Exchange::Answered(verifier);
        Ok(message(&last))
    }

    fn sasl_final(&mut self, data: &[u8]) -> Result<(), OpenError> {
        let Exchange::Answered(verifier) = std::mem::replace(&mut self.exchange, Exchange::None)
        else {
            return Err(OpenError::Protocol("SASL ended out of order"));
        };
        verifier.verify(data).map_err(OpenError::Scram)?;
        self.exchange = Exchange::Proved;
        Ok(())
    }

    /// Everything but Authentication and ReadyForQuery.
    fn other(&mut self, whole: &[u8]) -> Result<(), OpenError> {
        match whole[0] {
            tag::ERROR => Err(refused(whole)),
            tag::NOTICE => {
                let fields = backend::error_fields(whole);
                let text = String::from_utf8_lossy(fields.message);
                log::debug!("notice from server at login: {text}");
                Ok(())
            }
            NEGOTIATE_PROTOCOL_VERSION => match whole[HEADER..].first_chunk() {
                Some(minor) if u32::from_be_bytes(*minor) & 0xffff_0000 <= PROTOCOL_3_0 => Ok(()),
                _ => Err(OpenError::Protocol("malformed NegotiateProtocolVersion")),
            },
            tag::PARAMETER_STATUS if self.is_authenticated => self.parameter(whole),
            tag::BACKEND_KEY_DATA if self.is_authenticated => self.key(&whole[HEADER..]),
            _ => Err(OpenError::Protocol("unexpected message during login")),
        }
    }

    fn parameter(&mut self, whole: &[u8]) -> Result<(), OpenError> {
        let (name, value) = backend::parameter_status(whole)
            .ok_or(OpenError::Protocol("malformed ParameterStatus"))?;
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let (name, value) = (text(name), text(value));
        let known = &mut self.welcome.parameters;
        let is_full = known.len() >= MAX_PARAMETERS;
        match known.iter_mut().find(|(other, _)| *other == name) {
            Some(entry) => entry.1 = value,
            None if is_full => return Err(OpenError::Protocol("too many parameters")),
            None => known.push((name, value)),
        }
        Ok(())
    }

    fn key(&mut self, body: &[u8]) -> Result<(), OpenError> {
        match body.split_first_chunk() {
            Some((pid, secret)) if (4..=MAX_KEY).contains(&secret.len()) => {
                self.welcome.backend_pid = i32::from_be_bytes(*pid);
                self.welcome.cancel_key = body.to_vec();
                Ok(())
            }
            _ => Err(OpenError::Protocol("malformed BackendKeyData")),
        }
    }

    fn ready(&self, whole: &[u8]) -> Result<(), OpenError> {
        if !self.is_authenticated {
            return Err(OpenError::Protocol("ReadyForQuery before AuthenticationOk"));
        }
        match whole[HEADER..] {
            [status] if Status::parse(status) == Some(Status::Idle) => Ok(()),
            _ => Err(OpenError::Protocol("malformed ReadyForQuery")),
        }
    }
}

/// Answers a challenge with the password; the derivation runs off the lane unless it is cached.
async fn prove(
    challenge: ClientChallenge,
    password: &Arc<str>,
    cache: &Arc<KeyCache>,
) -> Result<(ClientVerifier, Vec<u8>), OpenError> {
    let (salt, iterations) = (challenge.salt(), challenge.iterations());
    let keys = match cache.cached(password.as_bytes(), salt, iterations) {
        Some(keys) => keys,
        None => {
            let (cache, password) = (Arc::clone(cache), Arc::clone(password));
            let salt = salt.to_vec();
            let derive = move || cache.derive(password.as_bytes(), &salt, iterations);
            let derived = tokio::task::spawn_blocking(derive).await;
            derived.map_err(|error| OpenError::Closed(Some(error.into())))?
        }
    };
    Ok(challenge.respond(&keys))
}

fn prove_captured(
    challenge: ClientChallenge,
    captured: &CapturedKeys,
) -> Result<(ClientVerifier, Vec<u8>), OpenError> {
    challenge
        .respond_captured(captured)
        .map_err(|error| match error {
            ScramError::ForeignKeys => wrong(PasswordHint::ForeignKeys),
            error => OpenError::Scram(error),
        })
}

/// The server's ErrorResponse as an error value.
fn refused(whole: &[u8]) -> OpenError {
    let fields = backend::error_fields(whole);
    let text = |bytes: &[u8], missing: &str| match bytes {
        [] => missing.to_owned(),
        bytes => String::from_utf8_lossy(bytes).into_owned(),
    };
    OpenError::Refused {
        sqlstate: text(fields.sqlstate, "XXXXX"),
        severity: text(fields.severity, "FATAL"),
        message: text(fields.message, "login refused without a message"),
    }
}

fn wrong(hint: PasswordHint) -> OpenError {
    OpenError::WrongPasswordType(hint)
}

/// PasswordMessage: the text and its terminator.
fn password_message(text: &[u8]) -> Vec<u8> {
    let mut body = text.to_vec();
    body.push(0);
    message(&body)
}

fn message(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + body.len());
    frame::put(&mut out, frontend::tag::PASSWORD, body);
    out
}
