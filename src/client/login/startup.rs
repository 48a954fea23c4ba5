//! The untyped packets at the front of a connection, up to the StartupMessage.
//!
//! Owns: SSLRequest, GSSENCRequest, direct TLS, and what may not come before or between them.
//! Never: parameters. Source: PostgreSQL "Start-up", "SSL Session Encryption"; surface 6.1, 6.7.

use std::borrow::Cow;

use super::{EOF, End, Gate, Live, Login};
use crate::error::ClientError;
use crate::wire::startup::{First, Malformed, Packet, parse_packet, peek_first};

/// Bytes of a bad header that are shown to the client.
const SHOWN: usize = 8;

impl<G: Gate> Login<G> {
    /// Reads up to the StartupMessage and returns it whole, parsed once already.
    pub(super) async fn first_packets(&mut self) -> Result<Vec<u8>, End> {
        let mut asked = (false, false);
        loop {
            let total = self.next_packet().await?;
            let packet = self.input.take(total);
            match parse_packet(&packet) {
                Ok(Packet::Ssl) if !asked.0 => {
                    asked.0 = true;
                    self.answer_ssl().await?;
                }
                Ok(Packet::Gss) if !asked.1 => {
                    asked.1 = true;
                    self.answer_gss().await?;
                }
                Ok(Packet::Ssl | Packet::Gss) => return Err(ClientError::bad_packet().into()),
                Ok(Packet::Cancel(cancel)) => return Err(End::Cancel(cancel.key())),
                Ok(Packet::Startup(_)) => {
                    self.check_encryption()?;
                    return Ok(packet);
                }
                Err(Malformed::OldProtocol) => return Err(ClientError::old_protocol().into()),
                Err(Malformed::Layout) => return Err(ClientError::startup_layout().into()),
                Err(Malformed::Length | Malformed::UnknownCode) => {
                    return Err(bad_header(&packet));
                }
            }
        }
    }

    /// Waits for one whole untyped packet; gives its length. Starts TLS when the client does so
    /// unasked.
    async fn next_packet(&mut self) -> Result<usize, End> {
        loop {
            let had = self.input.bytes().len();
            match peek_first(self.input.bytes()) {
                First::Packet { total } => {
                    self.fill(total).await?;
                    return Ok(total);
                }
                First::Short => match self.fill(had + 1).await {
                    // A port probe or a health check: not worth a line in the log.
                    Err(End::Gone(_)) if had == 0 => return Err(End::Silent),
                    filled => filled?,
                },
                First::DirectTls if self.may_offer_tls() => self.start_direct_tls().await?,
                First::DirectTls | First::Bad => return Err(bad_header(self.input.bytes())),
            }
        }
    }

    /// TLS is configured, this is TCP, and it is not encrypted yet.
    fn may_offer_tls(&self) -> bool {
        let is_plain = self.stream.as_ref().is_some_and(|stream| !stream.is_tls());
        let live = self.gate.live();
        is_plain && !self.is_unix && live.client_tls().is_some_and(|tls| tls.is_offered())
    }

    fn check_encryption(&self) -> Result<(), End> {
        let is_tls = self.stream.as_ref().is_some_and(|stream| stream.is_tls());
        let live = self.gate.live();
        let is_required = live.client_tls().is_some_and(|tls| tls.is_required());
        if is_required && !is_tls && !self.is_unix {
            return Err(ClientError::ssl_required().into());
        }
        Ok(())
    }

    async fn answer_ssl(&mut self) -> Result<(), End> {
        if !self.input.bytes().is_empty() {
            return Err(ClientError::early_data_ssl().into());
        }
        if self.stream()?.is_tls() {
            return Err(End::Gone(Cow::Borrowed("SSL req inside SSL")));
        }
        if !self.may_offer_tls() {
            self.out.push(b'N');
            return self.flush().await;
        }
        self.out.push(b'S');
        self.flush().await?;
        self.start_tls(&[]).await
    }

    async fn answer_gss(&mut self) -> Result<(), End> {
        if !self.input.bytes().is_empty() {
            return Err(ClientError::early_data_gss().into());
        }
        self.out.push(b'N');
        self.flush().await
    }

    async fn start_direct_tls(&mut self) -> Result<(), End> {
        let head = self.input.take(self.input.bytes().len());
        self.start_tls(&head).await
    }

    /// The handshake; `head` are bytes of it that were read already (direct TLS). Not cancel safe:
    /// a login that is broken off here has lost its connection.
    async fn start_tls(&mut self, head: &[u8]) -> Result<(), End> {
        let live = self.gate.live();
        let (Some(stream), Some(tls)) = (self.stream.take(), live.client_tls()) else {
            return Err(End::Gone(EOF));
        };
        let shaken = if head.is_empty() {
            tls.accept(stream).await
        } else {
            tls.accept_direct(stream, head).await
        };
        let failed = |error| End::Gone(Cow::Owned(format!("TLS handshake failed: {error}")));
        self.stream = Some(shaken.map_err(failed)?);
        Ok(())
    }
}

fn bad_header(bytes: &[u8]) -> End {
    ClientError::bad_header(&bytes[..bytes.len().min(SHOWN)]).into()
}
