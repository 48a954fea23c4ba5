//! Names of protocols and suites: as settings spell them, and as log lines and SHOW print them.
//!
//! Owns: the mapping between OpenSSL's names and rustls'. Never: decides whether a connection is
//! secure enough; rustls offers nothing below TLS 1.2 and no suite without forward secrecy.

use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion};

use super::{TlsError, TlsSettings};

/// PgBouncer's words for sets of ciphers.
const KEYWORDS: [&str; 5] = ["default", "secure", "fast", "normal", "all"];

/// Protocol and suite of a session as PgBouncer prints them: `TLSv1.3/TLS_AES_256_GCM_SHA384`,
/// `TLSv1.2/ECDHE-RSA-AES256-GCM-SHA384`.
pub(super) fn session_info(
    version: Option<ProtocolVersion>,
    suite: Option<SupportedCipherSuite>,
) -> String {
    let version = match version {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "TLS",
    };
    let suite = suite.map_or(String::new(), |suite| openssl_name(suite.suite()));
    format!("{version}/{suite}")
}

/// OpenSSL's name: `TLS13_AES_128_GCM_SHA256` is `TLS_AES_128_GCM_SHA256`,
/// `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256` is `ECDHE-RSA-AES128-GCM-SHA256`.
fn openssl_name(suite: CipherSuite) -> String {
    let name = suite.as_str().unwrap_or_default();
    if let Some(rest) = name.strip_prefix("TLS13_") {
        return format!("TLS_{rest}");
    }
    let name = name.strip_prefix("TLS_").unwrap_or(name);
    let name = name.replace("_WITH_", "_").replace("AES_", "AES");
    name.replace("CHACHA20_POLY1305_SHA256", "CHACHA20_POLY1305")
        .replace('_', "-")
}

/// The protocol versions the settings allow.
pub(super) fn versions(
    settings: &TlsSettings,
) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let mut versions = Vec::new();
    if settings.allows_tls12 {
        versions.push(&TLS12);
    }
    if settings.allows_tls13 {
        versions.push(&TLS13);
    }
    if versions.is_empty() {
        return Err(TlsError::OldProtocol);
    }
    Ok(versions)
}

/// The suites that the two cipher settings leave. PgBouncer's keywords stand for all suites of
/// rustls, which are all in the strictest class; names are taken by their word. OpenSSL's rules
/// (`HIGH`, `!aNULL`) are refused: what they would forbid cannot be promised.
pub(super) fn suites(settings: &TlsSettings) -> Result<Vec<SupportedCipherSuite>, TlsError> {
    let mut chosen = Vec::new();
    for (setting, version) in [
        (&settings.tls13_ciphers, &TLS13),
        (&settings.ciphers, &TLS12),
    ] {
        let all = rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES.iter();
        let all: Vec<_> = all.filter(|suite| suite.version() == version).collect();
        let mut named = Vec::new();
        let words = setting.split([':', ',', ' ']);
        for word in words.filter(|word| !word.is_empty()) {
            if KEYWORDS.contains(&word.to_ascii_lowercase().as_str()) {
                named.extend(all.iter().copied());
                continue;
            }
            let mut all = all.iter().copied();
            let suite = all.find(|suite| openssl_name(suite.suite()) == word);
            named.push(suite.ok_or_else(|| TlsError::Cipher(word.to_owned()))?);
        }
        if named.is_empty() {
            named = all;
        }
        chosen.extend(named.into_iter().copied());
    }
    Ok(chosen)
}
