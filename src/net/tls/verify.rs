//! Verification of PostgreSQL's certificate.
//!
//! Owns: what `server_tls_sslmode` demands of it. Never: weaker than OpenSSL behind PgBouncer;
//! where OpenSSL accepts what webpki alone refuses (a self-signed server certificate that is
//! itself the CA file; a name only in the CN), so do we, because such set-ups are common.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use super::der;
use super::files::Trust;

/// The check of one `server_tls_*` configuration.
pub(super) struct ServerCheck {
    trust: Option<Trust>,
    check_name: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl std::fmt::Debug for ServerCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerCheck")
            .field("verifies", &self.trust.is_some())
            .field("check_name", &self.check_name)
            .finish()
    }
}

impl ServerCheck {
    /// Takes any certificate (allow, prefer, require).
    pub(super) fn trusting(algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self {
            trust: None,
            check_name: false,
            algorithms,
        }
    }

    /// Demands a chain to the CA file, and the host's name for verify-full.
    pub(super) fn verifying(
        trust: Trust,
        check_name: bool,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        Self {
            trust: Some(trust),
            check_name,
            algorithms,
        }
    }
}

impl ServerCertVerifier for ServerCheck {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(trust) = &self.trust else {
            return Ok(ServerCertVerified::assertion());
        };
        let certificate = ParsedCertificate::try_from(end_entity)?;
        if trust.pinned.contains(end_entity) {
            der::check_validity(end_entity, now)?;
        } else {
            verify_server_cert_signed_by_trust_anchor(
                &certificate,
                &trust.roots,
                intermediates,
                now,
                self.algorithms.all,
            )?;
        }
        if self.check_name
            && let Err(error) = verify_server_name(&certificate, server_name)
            && !is_named_in_subject(end_entity, server_name)
        {
            return Err(error);
        }
        Ok(ServerCertVerified::assertion())
    }

    // Without a trusted certificate its signature proves nothing: old certificates that webpki
    // cannot read (X.509 version 1) are then no reason to refuse, as they are none for OpenSSL.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.trust {
            None => Ok(HandshakeSignatureValid::assertion()),
            Some(_) => verify_tls12_signature(message, cert, dss, &self.algorithms),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.trust {
            None => Ok(HandshakeSignatureValid::assertion()),
            Some(_) => verify_tls13_signature(message, cert, dss, &self.algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// RFC 6125 6.4.4: the CN counts only where the certificate has no alternative names.
fn is_named_in_subject(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
    let Some(fields) = der::read(certificate).filter(|fields| !fields.has_alternative_names) else {
        return false;
    };
    let common_name = fields.common_name.to_ascii_lowercase();
    let name = name.to_str().to_ascii_lowercase();
    match common_name.strip_prefix("*.") {
        Some(domain) => name
            .split_once('.')
            .is_some_and(|(host, rest)| !host.is_empty() && rest == domain),
        None => !common_name.is_empty() && common_name == name,
    }
}

pub(super) fn expired() -> Error {
    Error::InvalidCertificate(CertificateError::Expired)
}

pub(super) fn not_yet_valid() -> Error {
    Error::InvalidCertificate(CertificateError::NotValidYet)
}

pub(super) fn bad_encoding() -> Error {
    Error::InvalidCertificate(CertificateError::BadEncoding)
}
