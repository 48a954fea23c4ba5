//! The three fields of a certificate that rustls does not show: validity, CN, and whether there
//! are alternative names (RFC 5280 4.1).
//!
//! Owns: a bounded walk over DER. Never: decides trust, or reads outside the bytes it was given.

use rustls::Error;
use rustls::pki_types::UnixTime;

use super::verify::{bad_encoding, expired, not_yet_valid};

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
/// id-at-commonName, 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// id-ce-subjectAltName, 2.5.29.17, as it stands in an extension.
const ALTERNATIVE_NAMES: &[u8] = &[OBJECT_ID, 3, 0x55, 0x1d, 0x11];

/// What was read.
pub(super) struct Fields {
    /// Seconds since 1970.
    pub(super) not_before: u64,
    /// Seconds since 1970.
    pub(super) not_after: u64,
    /// The last CN of the subject, empty without one.
    pub(super) common_name: String,
    /// Whether a subjectAltName extension is present.
    pub(super) has_alternative_names: bool,
}

/// Whether `now` lies in the certificate's validity.
pub(super) fn check_validity(certificate: &[u8], now: UnixTime) -> Result<(), Error> {
    let fields = read(certificate).ok_or_else(bad_encoding)?;
    if now.as_secs() < fields.not_before {
        return Err(not_yet_valid());
    }
    if now.as_secs() > fields.not_after {
        return Err(expired());
    }
    Ok(())
}

/// Reads the fields; none where the bytes are not a certificate.
pub(super) fn read(certificate: &[u8]) -> Option<Fields> {
    let mut outer = Reader(certificate);
    let mut tbs = Reader(Reader(outer.require(SEQUENCE)?).require(SEQUENCE)?);
    if tbs.0.first() == Some(&VERSION) {
        tbs.next()?;
    }
    // serialNumber, signature, issuer
    for _ in 0..3 {
        tbs.next()?;
    }
    let mut validity = Reader(tbs.require(SEQUENCE)?);
    let not_before = time(validity.next()?)?;
    let not_after = time(validity.next()?)?;
    let mut common_name = String::new();
    let mut subject = Reader(tbs.require(SEQUENCE)?);
    while !subject.0.is_empty() {
        let mut set = Reader(subject.require(SET)?);
        let mut attribute = Reader(set.require(SEQUENCE)?);
        if attribute.require(OBJECT_ID)? == COMMON_NAME {
            common_name = String::from_utf8_lossy(attribute.next()?.1).into_owned();
        }
    }
    let mut has_alternative_names = false;
    while !tbs.0.is_empty() {
        let (tag, content) = tbs.next()?;
        has_alternative_names |= tag == EXTENSIONS
            && content
                .windows(ALTERNATIVE_NAMES.len())
                .any(|window| window == ALTERNATIVE_NAMES);
    }
    Some(Fields {
        not_before,
        not_after,
        common_name,
        has_alternative_names,
    })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next element: tag and content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let mut length = usize::from(first);
        if first >= 0x80 {
            let count = usize::from(first & 0x7f);
            if count == 0 || count > 4 || rest.len() < count {
                return None;
            }
            length = 0;
            for &byte in &rest[..count] {
                length = length << 8 | usize::from(byte);
            }
            rest = &rest[count..];
        }
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    fn require(&mut self, wanted: u8) -> Option<&'a [u8]> {
        let (tag, content) = self.next()?;
        (tag == wanted).then_some(content)
    }
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` as seconds since 1970; times before 1970 give 0.
fn time((tag, text): (u8, &[u8])) -> Option<u64> {
    let (year_digits, digits) = match (tag, text.len()) {
        (UTC_TIME, 13) => (2, text),
        (GENERALIZED_TIME, 15) => (4, text),
        _ => return None,
    };
    let number = |from: usize, count: usize| -> Option<i64> {
        std::str::from_utf8(digits.get(from..from + count)?)
            .ok()?
            .parse()
            .ok()
    };
    let mut year = number(0, year_digits)?;
    if tag == UTC_TIME {
        year += if year < 50 { 2000 } else { 1900 };
    }
    let at = |index: usize| number(year_digits + 2 * index, 2);
    let (month, day) = (at(0)?, at(1)?);
    if !(1..=12).contains(&month) {
        return None;
    }
    // Days from 0000-03-01 in the Gregorian calendar, years beginning in March.
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
    let seconds = days * 86_400 + at(2)? * 3_600 + at(3)? * 60 + at(4)?;
    Some(u64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn certificate() -> Vec<u8> {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut made = rcgen::CertificateParams::new(vec!["db".to_owned()]).unwrap();
        made.distinguished_name = rcgen::DistinguishedName::new();
        made.distinguished_name
            .push(rcgen::DnType::CommonName, "Größe");
        made.not_before = rcgen::date_time_ymd(2024, 2, 29);
        made.not_after = rcgen::date_time_ymd(2061, 1, 1);
        made.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn fields_of_a_certificate() {
        let fields = read(&certificate()).unwrap();
        assert_eq!(fields.common_name, "Größe");
        assert!(fields.has_alternative_names);
        // date -u -d 2024-02-29 +%s; 2061 is past the reach of UTCTime.
        assert_eq!(fields.not_before, 1_709_164_800);
        assert_eq!(fields.not_after, 2_871_763_200);
    }

    #[test]
    fn validity_is_checked_on_both_sides() {
        let certificate = certificate();
        let at = |seconds| {
            let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
            check_validity(&certificate, now).is_ok()
        };
        assert!(at(1_800_000_000));
        assert!(!at(1_709_164_799));
        assert!(!at(2_871_763_201));
    }

    #[test]
    fn damaged_certificates_do_not_panic() {
        let whole = certificate();
        for cut in 0..whole.len() {
            assert!(read(&whole[..cut]).is_none());
            for bit in [0x01, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[cut] ^= bit;
                let _ = read(&damaged);
            }
        }
    }
}
