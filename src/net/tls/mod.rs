//! TLS on both sides, on rustls with aws-lc-rs.
//!
//! Owns: certificates, verification, the handshakes and the sessions. May touch: certificate files
//! (when a configuration is built, never later). Must never: offer less than TLS 1.2 or keep key
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
use std::str::FromStr;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use client::ClientTls;
pub use server::ServerTls;
pub use session::Tls;

/// `client_tls_sslmode` and `server_tls_sslmode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    /// No TLS.
    #[default]
    Disable,
    /// As `prefer`.
    Allow,
    /// TLS where the other side wants it.
    Prefer,
    /// TLS or nothing; the other side's certificate is not verified.
    Require,
    /// The certificate must lead to the CA file.
    VerifyCa,
    /// And, of a server, carry the name we connected to.
    VerifyFull,
}

impl FromStr for SslMode {
    type Err = TlsError;

    /// The words of PgBouncer, in any case.
    fn from_str(word: &str) -> Result<Self, TlsError> {
        Ok(match word.to_ascii_lowercase().as_str() {
            "disable" => SslMode::Disable,
            "allow" => SslMode::Allow,
            "prefer" => SslMode::Prefer,
            "require" => SslMode::Require,
            "verify-ca" => SslMode::VerifyCa,
            "verify-full" => SslMode::VerifyFull,
            _ => return Err(TlsError::Mode(word.to_owned())),
        })
    }
}

/// The TLS settings of one side; empty texts mean what they mean in PgBouncer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// `*_tls_sslmode`.
    pub mode: SslMode,
    /// `*_tls_ca_file`.
    pub ca_file: String,
    /// `*_tls_cert_file`.
    pub cert_file: String,
    /// `*_tls_key_file`.
    pub key_file: String,
    /// `*_tls_protocols`; empty is `secure`.
    pub protocols: String,
    /// `*_tls_ciphers`: TLS 1.2.
    pub ciphers: String,
    /// `*_tls13_ciphers`.
    pub tls13_ciphers: String,
}

/// Why a TLS configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// An unknown word as sslmode.
    #[error(
        "unknown sslmode \"{0}\" (accepted: disable, allow, prefer, require, verify-ca, verify-full)"
    )]
    Mode(String),
    /// An unknown word among the protocols.
    #[error("unknown TLS protocols \"{0}\" (accepted: secure, all, tlsv1.2, tlsv1.3)")]
    Protocol(String),
    /// Nothing but TLS 1.0 or 1.1.
    #[error("TLS protocols \"{0}\" leave nothing: TLS 1.0 and 1.1 are not supported")]
    OldProtocol(String),
    /// Named suites of which none is supported.
    #[error("no supported cipher in \"{0}\"")]
    Ciphers(String),
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
    provider.cipher_suites = names::suites(&settings.ciphers, &settings.tls13_ciphers)?;
    Ok(Arc::new(provider))
}

/// The protocol name of direct TLS (PostgreSQL 17, "SSL Session Encryption").
const ALPN: &[u8] = b"postgresql";
