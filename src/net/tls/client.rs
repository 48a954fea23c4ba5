//! TLS towards clients: we are the TLS server.
//!
//! Owns: our certificate and the rules for client certificates. Never: the SSLRequest exchange,
//! which belongs to the client's login; whoever answers `S` must first have refused early bytes.

use std::io;
use std::sync::{Arc, OnceLock};

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{UnbufferedServerConnection, WebPkiClientVerifier};

use super::files::{self, Pair};
use super::session::{Side, Tls};
use super::{ALPN, TlsError, TlsSettings, is_at_least, names, provider};
use crate::config::SslMode;
use crate::net::Stream;

/// What `client_tls_*` say, with the certificate loaded.
#[derive(Clone)]
pub struct ClientTls {
    mode: SslMode,
    config: Option<Arc<ServerConfig>>,
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTls")
            .field("mode", &self.mode)
            .finish()
    }
}

impl ClientTls {
    /// No TLS at all.
    pub fn disabled() -> Self {
        Self {
            mode: SslMode::Disable,
            config: None,
        }
    }

    /// Reads the files and checks that they fit. Without a certificate a self-signed one is made
    /// in memory, with a warning: it encrypts, and proves nothing.
    pub fn build(settings: &TlsSettings) -> Result<Self, TlsError> {
        if settings.mode == SslMode::Disable {
            return Ok(Self::disabled());
        }
        let versions = names::versions(settings)?;
        let (chain, key) = match files::pair(settings)? {
            Some(pair) => pair,
            None => self_signed()?,
        };
        let provider = provider(settings)?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)?;
        let builder = match files::trust(settings)? {
            None => builder.with_no_client_auth(),
            Some(trust) => {
                let mut check =
                    WebPkiClientVerifier::builder_with_provider(trust.roots.into(), provider);
                if !settings.is_at_least(SslMode::VerifyCa) {
                    check = check.allow_unauthenticated();
                }
                builder.with_client_cert_verifier(check.build()?)
            }
        };
        let mut config = builder.with_single_cert(chain, key)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        // PostgreSQL gives no tickets and libpq keeps none; each costs work at every login.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok(Self {
            mode: settings.mode,
            config: Some(Arc::new(config)),
        })
    }

    /// Whether SSLRequest is answered with `S`.
    pub fn is_offered(&self) -> bool {
        self.config.is_some()
    }

    /// Whether a TCP client without TLS is refused; Unix sockets are exempt.
    pub fn is_required(&self) -> bool {
        is_at_least(self.mode, SslMode::Require)
    }

    /// Whether a client must show a certificate (verify-ca, verify-full).
    pub fn is_verifying(&self) -> bool {
        is_at_least(self.mode, SslMode::VerifyCa)
    }

    /// The handshake after an SSLRequest answered with `S`. Not cancel safe; unbounded in time.
    pub async fn accept(&self, stream: Stream) -> io::Result<Stream> {
        self.shake(stream, &[]).await.map(Stream::Tls)
    }

    /// Direct TLS: `head` are the first bytes, already read. The client must name the protocol.
    pub async fn accept_direct(&self, stream: Stream, head: &[u8]) -> io::Result<Stream> {
        let tls = self.shake(stream, head).await?;
        if tls.alpn() != Some(ALPN) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "direct TLS without ALPN \"postgresql\"",
            ));
        }
        Ok(Stream::Tls(tls))
    }

    async fn shake(&self, stream: Stream, head: &[u8]) -> io::Result<Box<Tls>> {
        let (Stream::Plain(socket), Some(config)) = (stream, &self.config) else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let side = UnbufferedServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        let mut tls = Box::new(Tls::new(socket, Side::Server(side), head));
        tls.handshake().await?;
        Ok(tls)
    }
}

/// A certificate for this host, made once per process and never stored: a reload does not change what
/// clients have seen.
fn self_signed() -> Result<Pair, TlsError> {
    static MADE: OnceLock<(CertificateDer<'static>, Vec<u8>)> = OnceLock::new();
    let (certificate, key) = match MADE.get() {
        Some(made) => made,
        None => {
            let made = make_self_signed()?;
            MADE.get_or_init(|| made)
        }
    };
    let key = PrivatePkcs8KeyDer::from(key.clone());
    Ok((vec![certificate.clone()], PrivateKeyDer::from(key)))
}

fn make_self_signed() -> Result<(CertificateDer<'static>, Vec<u8>), TlsError> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let mut hosts = vec!["localhost".to_owned()];
    if !host.is_empty() && host != "localhost" {
        hosts.push(host.to_owned());
    }
    log::warn!(
        "client_tls_sslmode is set without client_tls_cert_file: \
         using a self-signed certificate made in memory"
    );
    let made = rcgen::generate_simple_self_signed(hosts)?;
    Ok((made.cert.der().clone(), made.signing_key.serialize_der()))
}
