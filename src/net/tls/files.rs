//! Certificate files.
//!
//! Owns: reading PEM. Never: keeps a key longer than it takes to hand it to rustls.

use std::fs;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{TlsError, TlsSettings};
use crate::config::SslMode;

/// Where systems keep their CA bundle: Debian, Red Hat, SUSE, Alpine.
const SYSTEM_CA: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A certificate chain, leaf first, and its key.
pub(super) type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The certificate and key of the settings; none when neither is set.
pub(super) fn pair(settings: &TlsSettings) -> Result<Option<Pair>, TlsError> {
    match (settings.cert_file.is_empty(), settings.key_file.is_empty()) {
        (true, true) => Ok(None),
        (false, false) => {
            let chain = certificates(Path::new(&settings.cert_file))?;
            let file = PathBuf::from(&settings.key_file);
            let key = PrivateKeyDer::from_pem_file(&file)
                .map_err(|source| TlsError::File { file, source })?;
            Ok(Some((chain, key)))
        }
        _ => Err(TlsError::HalfPair),
    }
}

/// What is trusted.
pub(super) struct Trust {
    /// Anchors of chains.
    pub(super) roots: RootCertStore,
    /// The same certificates as they stand in the file: a server may present one of them itself.
    pub(super) pinned: Vec<CertificateDer<'static>>,
}

/// The CA file; for verify-ca and verify-full without one the system's bundle, as OpenSSL does.
pub(super) fn trust(settings: &TlsSettings) -> Result<Option<Trust>, TlsError> {
    let file = if !settings.ca_file.is_empty() {
        PathBuf::from(&settings.ca_file)
    } else if settings.is_at_least(SslMode::VerifyCa) {
        let bundle = SYSTEM_CA.iter().map(Path::new).find(|file| file.exists());
        let word = if settings.mode == SslMode::VerifyCa {
            "verify-ca"
        } else {
            "verify-full"
        };
        bundle.ok_or(TlsError::CaMissing(word))?.to_owned()
    } else {
        return Ok(None);
    };
    let pinned = certificates(&file)?;
    let mut roots = RootCertStore::empty();
    let (_, ignored) = roots.add_parsable_certificates(pinned.iter().cloned());
    if ignored > 0 {
        log::debug!(
            "{ignored} certificates in {} cannot be anchors",
            file.display()
        );
    }
    if roots.is_empty() {
        return Err(TlsError::NoCa(file));
    }
    Ok(Some(Trust { roots, pinned }))
}

/// The files' contents for the comparison of two configurations; unreadable ones are empty.
pub(super) fn contents(settings: &TlsSettings) -> Vec<Vec<u8>> {
    [&settings.ca_file, &settings.cert_file, &settings.key_file]
        .iter()
        .filter(|file| !file.is_empty())
        .map(|file| fs::read(file).unwrap_or_default())
        .collect()
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrap = |source| TlsError::File {
        file: file.to_owned(),
        source,
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(file)
        .map_err(wrap)?
        .collect::<Result<_, _>>()
        .map_err(wrap)?;
    if chain.is_empty() {
        return Err(wrap(rustls::pki_types::pem::Error::NoItemsFound));
    }
    Ok(chain)
}
