//! Names of protocols and suites: as settings spell them, and as log lines and SHOW print them.
//!
//! Owns: the mapping between OpenSSL's names and rustls'. Never: decides whether a connection is
//! secure enough; rustls offers nothing below TLS 1.2 and no suite without forward secrecy.

use rustls::{CipherSuite, ProtocolVersion, SupportedCipherSuite};

use super::TlsError;

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

/// The protocol versions a `*_tls_protocols` value allows (libtls' grammar: names separated by
/// commas or colons, `!` takes one away, `all` and `secure` are groups).
pub(super) fn protocols(
    setting: &str,
) -> Result<Vec<&'static rustls::SupportedProtocolVersion>, TlsError> {
    const V10: u8 = 1;
    const V11: u8 = 2;
    const V12: u8 = 4;
    const V13: u8 = 8;
    let mut chosen = 0u8;
    for word in setting.split([',', ':']).map(str::trim) {
        let (is_negated, word) = match word.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, word),
        };
        let bits = match word.to_ascii_lowercase().as_str() {
            "all" | "legacy" | "tlsv1" => V10 | V11 | V12 | V13,
            "" | "secure" | "default" => V12 | V13,
            "tlsv1.0" => V10,
            "tlsv1.1" => V11,
            "tlsv1.2" => V12,
            "tlsv1.3" => V13,
            _ => return Err(TlsError::Protocol(setting.to_owned())),
        };
        if is_negated {
            chosen = if chosen == 0 { 15 } else { chosen } & !bits;
        } else {
            chosen |= bits;
        }
    }
    let mut versions = Vec::new();
    if chosen & V12 != 0 {
        versions.push(&rustls::version::TLS12);
    }
    if chosen & V13 != 0 {
        versions.push(&rustls::version::TLS13);
    }
    if versions.is_empty() {
        return Err(TlsError::OldProtocol(setting.to_owned()));
    }
    Ok(versions)
}

/// The suites that the two cipher settings leave: `tls12` is `*_tls_ciphers`, `tls13` is
/// `*_tls13_ciphers`. OpenSSL's rule words (`HIGH`, `!aNULL`, `secure` ...) stand for all suites of
/// rustls, which are all in the strictest of those classes.
pub(super) fn suites(tls12: &str, tls13: &str) -> Result<Vec<SupportedCipherSuite>, TlsError> {
    let all = rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES;
    let mut chosen = Vec::new();
    for (setting, version) in [
        (tls13, &rustls::version::TLS13),
        (tls12, &rustls::version::TLS12),
    ] {
        let of_version: Vec<_> = all
            .iter()
            .filter(|suite| suite.version() == version)
            .copied()
            .collect();
        let words: Vec<&str> = setting
            .split([':', ',', ' '])
            .filter(|word| !word.is_empty())
            .collect();
        let is_named = |word: &&str| word.contains("_") || word.matches('-').count() >= 2;
        if words.is_empty() || !words.iter().all(|word| is_named(word)) {
            chosen.extend(of_version);
            continue;
        }
        let named: Vec<_> = of_version
            .into_iter()
            .filter(|suite| words.contains(&openssl_name(suite.suite()).as_str()))
            .collect();
        if named.is_empty() {
            return Err(TlsError::Ciphers(setting.to_owned()));
        }
        chosen.extend(named);
    }
    Ok(chosen)
}
