//! TLS on both sides, on rustls with aws-lc-rs.
//!
//! Owns: certificates, verification, the handshakes and the sessions. May touch: certificate files
//! (when a configuration is built, never later), the settings. Must never: offer less than TLS 1.2 or keep key
//! material in anything that prints.
//! Mirrors: PgBouncer's `client_tls_*` (we answer: [`ClientTls`]) and `server_tls_*` (we ask:
//! [`ServerTls`]). A reload builds new ones; open sessions keep what they began with.

mod buffers;
mod client;
mod der;
mod files;
mod names;
mod server;
mod session;
mod verify;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;

use crate::config::{Protocols, Settings, SslMode};

pub use client::ClientTls;
pub use server::ServerTls;
pub use session::Tls;

/// The TLS settings of one side; empty texts mean what they mean in PgBouncer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// `*_tls_sslmode`.
    pub mode: SslMode,
    /// `*_tls_ca_file`.
    pub ca_file: String,
    /// `*_tls_cert_file`.
    pub cert_file: String,
    /// `*_tls_key_file`.
    pub key_file: String,
    /// `*_tls_protocols` allows TLS 1.2.
    pub allows_tls12: bool,
    /// `*_tls_protocols` allows TLS 1.3.
    pub allows_tls13: bool,
    /// `*_tls_ciphers`: TLS 1.2.
    pub ciphers: String,
    /// `*_tls13_ciphers`.
    pub tls13_ciphers: String,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            mode: SslMode::Disable,
            ca_file: String::new(),
            cert_file: String::new(),
            key_file: String::new(),
            allows_tls12: true,
            allows_tls13: true,
            ciphers: String::new(),
            tls13_ciphers: String::new(),
        }
    }
}

impl TlsSettings {
    /// `client_tls_*`.
    pub fn for_clients(settings: &Settings) -> Self {
        let (allows_tls12, allows_tls13) =
            Protocols::versions(&settings.client_tls_protocols).unwrap_or((true, true));
        Self {
            mode: settings.client_tls_sslmode,
            ca_file: settings.client_tls_ca_file.clone(),
            cert_file: settings.client_tls_cert_file.clone(),
            key_file: settings.client_tls_key_file.clone(),
            allows_tls12,
            allows_tls13,
            ciphers: settings.client_tls_ciphers.clone(),
            tls13_ciphers: settings.client_tls13_ciphers.clone().unwrap_or_default(),
        }
    }

    /// `server_tls_*`.
    pub fn for_servers(settings: &Settings) -> Self {
        let (allows_tls12, allows_tls13) =
            Protocols::versions(&settings.server_tls_protocols).unwrap_or((true, true));
        Self {
            mode: settings.server_tls_sslmode,
            ca_file: settings.server_tls_ca_file.clone(),
            cert_file: settings.server_tls_cert_file.clone(),
            key_file: settings.server_tls_key_file.clone(),
            allows_tls12,
            allows_tls13,
            ciphers: settings.server_tls_ciphers.clone(),
            tls13_ciphers: settings.server_tls13_ciphers.clone().unwrap_or_default(),
        }
    }

    /// Whether the mode is at least as strict as `floor`.
    fn is_at_least(&self, floor: SslMode) -> bool {
        is_at_least(self.mode, floor)
    }
}

/// The modes stand in the order of their strictness.
fn is_at_least(mode: SslMode, floor: SslMode) -> bool {
    mode as u8 >= floor as u8
}

/// Why a TLS configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Neither TLS 1.2 nor 1.3.
    #[error("the TLS protocols leave nothing: TLS 1.0 and 1.1 are not supported")]
    OldProtocol,
    /// A word among the ciphers that is neither a keyword nor a supported suite.
    #[error(
        "unsupported cipher \"{0}\" (accepted: default, secure, fast, normal, all, or suites by \
         OpenSSL's names, such as ECDHE-RSA-AES256-GCM-SHA384 and TLS_AES_256_GCM_SHA384)"
    )]
    Cipher(String),
    /// A certificate without key or a key without certificate.
    #[error("TLS needs both a certificate file and a key file, or neither")]
    HalfPair,
    /// A file that cannot be read or holds no usable PEM.
    #[error("cannot use TLS file \"{}\": {source}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// A CA file without a certificate that could serve.
    #[error("no usable CA certificate in \"{}\"", .0.display())]
    NoCa(PathBuf),
    /// verify-ca or verify-full with nothing to verify against.
    #[error("sslmode {0} needs a CA file and the system has none")]
    CaMissing(&'static str),
    /// Certificate and key do not fit together, or a key of an unknown kind.
    #[error("TLS certificate or key refused: {0}")]
    Refused(#[from] rustls::Error),
    /// The client certificate check cannot be built.
    #[error("TLS client verification: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// The self-signed certificate could not be made.
    #[error("cannot make a self-signed certificate: {0}")]
    SelfSigned(#[from] rcgen::Error),
}

/// rustls' provider with the suites the settings leave.
fn provider(settings: &TlsSettings) -> Result<Arc<CryptoProvider>, TlsError> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.cipher_suites = names::suites(settings)?;
    Ok(Arc::new(provider))
}

/// The protocol name of direct TLS (PostgreSQL 17, "SSL Session Encryption").
const ALPN: &[u8] = b"postgresql";
