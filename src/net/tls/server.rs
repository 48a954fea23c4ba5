//! TLS towards PostgreSQL: we are the TLS client.
//!
//! Owns: the verification rules and our own certificate. Never: the SSLRequest exchange, which
//! belongs to `server`.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::{Resumption, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use sha2::{Digest, Sha256};

use super::session::{Side, Tls};
use super::verify::ServerCheck;
use super::{ALPN, TlsError, TlsSettings, files, is_at_least, names, provider};
use crate::config::SslMode;
use crate::net::Stream;

/// What `server_tls_*` say, with the files loaded. Two are equal when settings and files are.
#[derive(Clone)]
pub struct ServerTls {
    mode: SslMode,
    config: Option<Arc<ClientConfig>>,
    fingerprint: [u8; 32],
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls")
            .field("mode", &self.mode)
            .finish()
    }
}

impl PartialEq for ServerTls {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for ServerTls {}

impl ServerTls {
    /// No TLS at all.
    pub fn disabled() -> Self {
        let mut off = Self {
            mode: SslMode::Disable,
            config: None,
            fingerprint: [0; 32],
        };
        off.fingerprint = fingerprint(&TlsSettings::default());
        off
    }

    /// Reads the files and checks that they fit.
    pub fn build(settings: &TlsSettings) -> Result<Self, TlsError> {
        if settings.mode == SslMode::Disable {
            return Ok(Self::disabled());
        }
        let versions = names::versions(settings)?;
        let provider = provider(settings)?;
        let algorithms = provider.signature_verification_algorithms;
        let check = match settings.mode {
            SslMode::VerifyCa | SslMode::VerifyFull => files::trust(settings)?.map(|trust| {
                let check_name = settings.mode == SslMode::VerifyFull;
                ServerCheck::verifying(trust, check_name, algorithms)
            }),
            _ => None,
        };
        let check = check.unwrap_or_else(|| ServerCheck::trusting(algorithms));
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(check));
        let mut config = match files::pair(settings)? {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Self {
            mode: settings.mode,
            config: Some(Arc::new(config)),
            fingerprint: fingerprint(settings),
        })
    }

    /// Whether SSLRequest is sent (TCP only).
    pub fn is_tried(&self) -> bool {
        self.config.is_some()
    }

    /// Whether a server that answers `N` is refused.
    pub fn is_required(&self) -> bool {
        is_at_least(self.mode, SslMode::Require)
    }

    /// A digest of settings and file contents: reload compares it before it tags any pool.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// The handshake after the server's `S`; `host` is the name that was connected to.
    /// Not cancel safe; unbounded in time.
    pub async fn connect(&self, stream: Stream, host: &str) -> io::Result<Stream> {
        let (Stream::Plain(socket), Some(config)) = (stream, &self.config) else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let name = match ServerName::try_from(host.to_owned()) {
            Ok(name) => name,
            // Not a name TLS could verify; the other modes do not look at it.
            Err(error) if self.mode == SslMode::VerifyFull => {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
            }
            Err(_) => ServerName::from(std::net::IpAddr::from([0, 0, 0, 0])),
        };
        let side = UnbufferedClientConnection::new(Arc::clone(config), name);
        let side = side.map_err(io::Error::other)?;
        let mut tls = Box::new(Tls::new(socket, Side::Client(side), &[]));
        tls.handshake().await?;
        Ok(Stream::Tls(tls))
    }
}

fn fingerprint(settings: &TlsSettings) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update([
        settings.mode as u8,
        settings.allows_tls12.into(),
        settings.allows_tls13.into(),
    ]);
    if settings.mode != SslMode::Disable {
        let contents = files::contents(settings);
        let texts = [
            settings.ciphers.as_bytes(),
            settings.tls13_ciphers.as_bytes(),
            settings.ca_file.as_bytes(),
            settings.cert_file.as_bytes(),
            settings.key_file.as_bytes(),
        ];
        for text in texts.into_iter().chain(contents.iter().map(Vec::as_slice)) {
            digest.update(text.len().to_be_bytes());
            digest.update(text);
        }
    }
    digest.finalize().into()
}
