//! What a renewal may ask for, and what is renewed.

use crate::enrol::{Looked, Shown};
use issue::Profile;
use issue::profile::Protocol;
use model::Reason;
use ports::store::authority::CertificateRow;
use x509::Certificate;
use x509::extension::decode_subject_alt_name;
use x509::oids;

/// RFC 7030 §4.2.2: the same subject and the same alternative names as in the certificate that is renewed.
pub(crate) fn is_renewal(request: &Looked, shown: &Shown, profile: &Profile) -> Result<(), Reason> {
    if shown.row.profile != *profile.name() {
        return Err(Reason::LabelMismatch);
    }
    let old = shown.read.tbs();
    // RFC 9483 §4.1.3: a template without a name asks for the one that there is.
    if request.subject.as_ref().is_some_and(|subject| !subject.matches(&old.subject)) {
        return Err(Reason::NameMismatch);
    }
    let asked = request.extensions.iter().find(|extension| extension.oid == oids::SUBJECT_ALT_NAME);
    let had = old.extension(oids::SUBJECT_ALT_NAME);
    let names = |extension: Option<&x509::Extension>| match extension {
        None => Ok(Vec::new()),
        Some(extension) => decode_subject_alt_name(&extension.value).ok_or(Reason::NameMismatch),
    };
    let (asked_names, had_names) = (names(asked)?, names(had)?);
    // Off-spec: many clients leave these names out. Where the registration decides them, the new certificate has the same.
    if asked.is_none() && !profile.takes_alt_names() {
        return Ok(());
    }
    let within = |some: &[x509::extension::GeneralName], all: &[x509::extension::GeneralName]| {
        some.iter().all(|name| all.contains(name))
    };
    if within(&asked_names, &had_names) && within(&had_names, &asked_names) {
        Ok(())
    } else {
        Err(Reason::NameMismatch)
    }
}

/// How records name a protocol; EST, the first one, is not named.
pub(crate) const fn spoken(protocol: Protocol) -> Option<&'static str> {
    match protocol {
        Protocol::Cmp => Some("CMP"),
        Protocol::Acme => Some("ACME"),
        Protocol::Scep => Some("SCEP"),
        Protocol::Est | Protocol::Bus | Protocol::Console => None,
    }
}

/// Whether a certificate has the key of this request.
pub(crate) fn is_for(row: &CertificateRow, request: &Looked) -> bool {
    Certificate::decode(&row.der).is_ok_and(|read| read.tbs().subject_public_key == request.key)
}
