//! Whether a certificate is revoked, as far as lists tell.

use super::{PathFault, extension};
use crate::certificate::Certificate;
use crate::crl::CertificateList;
use crate::extension::{GeneralName, KeyUsage, decode_extended_key_usage};
use crate::oids;
use crate::points::{Covers, DistributionPoint, IssuingDistributionPoint, PointName, decode_distribution_points};
use model::UnixTime;
use model::contract::authority::RevocationReason;

/// All reasons of RFC 5280 §4.2.1.13, bits 1 to 8.
const ALL_REASONS: u16 = 0b1_1111_1110;

/// Looks for the certificate in the lists of its issuer.
///
/// Of lists for the same certificates the newest counts, and the newest delta list that fits it. It is good only if the
/// lists together speak of all reasons.
/// Source: RFC 5280 §6.3.
pub(super) fn check(
    certificate: &Certificate,
    issuer: &Certificate,
    crls: &[CertificateList],
    now: UnixTime,
) -> Result<(), PathFault> {
    if extension(certificate, oids::OCSP_NOCHECK, |_| Some(()))?.is_some() && answers_ocsp(certificate)? {
        return Ok(());
    }
    let points = extension(certificate, oids::CRL_DISTRIBUTION_POINTS, decode_distribution_points)?.unwrap_or_default();
    // The list is told that came closest to being used.
    let mut worst = PathFault::CrlMissing;
    let mut usable: Vec<(&CertificateList, u16)> = Vec::new();
    for list in crls.iter().filter(|list| list.issuer.matches(&certificate.tbs().issuer)) {
        let fault = match usability(list, certificate, &points, issuer, now) {
            Ok(reasons) => {
                usable.push((list, reasons));
                continue;
            }
            Err(fault) => fault,
        };
        if list.base_crl_number.is_none() && rank(fault) > rank(worst) {
            worst = fault;
        }
    }
    let mut reasons = 0;
    let complete = || usable.iter().filter(|(list, _)| list.base_crl_number.is_none());
    for (list, covered) in complete() {
        if complete().any(|(other, _)| same_scope(list, other) && other.crl_number > list.crl_number) {
            continue;
        }
        reasons |= covered;
        match state(certificate, list, usable.iter().map(|(list, _)| *list)) {
            Some(RevocationReason::CertificateHold) => return Err(PathFault::OnHold),
            Some(reason) => return Err(PathFault::Revoked(reason)),
            None => {}
        }
    }
    match reasons {
        ALL_REASONS => Ok(()),
        0 => Err(worst),
        _ => Err(PathFault::CrlOutOfScope),
    }
}

// RFC 6960 §4.2.2.2.1: only who answers OCSP may be left out of it.
fn answers_ocsp(certificate: &Certificate) -> Result<bool, PathFault> {
    let purposes = extension(certificate, oids::EXTENDED_KEY_USAGE, decode_extended_key_usage)?;
    Ok(purposes.is_some_and(|purposes| purposes == [oids::OCSP_SIGNING]))
}

fn rank(fault: PathFault) -> u8 {
    match fault {
        PathFault::CrlExpired => 4,
        PathFault::CrlNotYetValid => 3,
        PathFault::CrlBadSignature => 2,
        PathFault::CrlOutOfScope => 1,
        _ => 0,
    }
}

/// The reasons that a list of the right name covers for a certificate, or why it cannot be used.
fn usability(
    list: &CertificateList,
    certificate: &Certificate,
    points: &[DistributionPoint],
    issuer: &Certificate,
    now: UnixTime,
) -> Result<u16, PathFault> {
    let reasons = match &list.issuing_distribution_point {
        Some(scope) => covered(scope, certificate, points),
        None => ALL_REASONS,
    };
    if reasons == 0 {
        return Err(PathFault::CrlOutOfScope);
    }
    // RFC 5280 §6.3.3 (f) and (g), for lists under the certificates' own key.
    let usage = extension(issuer, oids::KEY_USAGE, KeyUsage::decode)?;
    if usage.is_some_and(|usage| !usage.has(KeyUsage::CRL_SIGN)) {
        return Err(PathFault::CrlBadSignature);
    }
    if list.this_update > now {
        return Err(PathFault::CrlNotYetValid);
    }
    if now.whole_second() > list.next_update {
        return Err(PathFault::CrlExpired);
    }
    list.verify(&issuer.tbs().subject_public_key).map_err(|_| PathFault::CrlBadSignature)?;
    Ok(reasons)
}

/// The reasons for which a shard speaks of a certificate: none if it is another's.
/// Source: RFC 5280 §6.3.3 (b) (2) and (d).
fn covered(scope: &IssuingDistributionPoint, certificate: &Certificate, points: &[DistributionPoint]) -> u16 {
    let is_authority = certificate.basic_constraints().is_some_and(|c| c.ca);
    let fits = match scope.covers {
        Covers::All => true,
        Covers::UserCertificates => !is_authority,
        Covers::AuthorityCertificates => is_authority,
        Covers::AttributeCertificates => false,
    };
    if !fits {
        return 0;
    }
    let by_scope = scope.only_some_reasons.map_or(ALL_REASONS, |flags| flags.0 & ALL_REASONS);
    let Some(name) = &scope.name else { return by_scope };
    // Points whose lists another signs are not for a list of the issuer's own.
    let own = |point: &&DistributionPoint| {
        let is_issuer =
            |n: &GeneralName| matches!(n, GeneralName::Directory(n) if n.matches(&certificate.tbs().issuer));
        point.crl_issuer.is_empty() || point.crl_issuer.iter().any(is_issuer)
    };
    let named = points.iter().filter(own).filter(|p| p.name.as_ref().is_some_and(|n| share_a_name(n, name)));
    let by_points = named.fold(0, |sum, p| sum | p.reasons.map_or(ALL_REASONS, |flags| flags.0));
    by_scope & by_points
}

fn share_a_name(a: &PointName, b: &PointName) -> bool {
    match (a, b) {
        (PointName::Full(a), PointName::Full(b)) => a.iter().any(|a| {
            b.iter().any(|b| match (a, b) {
                (GeneralName::Directory(a), GeneralName::Directory(b)) => a.matches(b),
                _ => a == b,
            })
        }),
        (PointName::Relative(a), PointName::Relative(b)) => a == b,
        // Relative to whom is not known here.
        (PointName::Full(_), PointName::Relative(_)) | (PointName::Relative(_), PointName::Full(_)) => false,
    }
}

fn same_scope(a: &CertificateList, b: &CertificateList) -> bool {
    a.issuing_distribution_point == b.issuing_distribution_point
}

/// Why the certificate is revoked by a complete list and the newest delta list that may be added to it.
/// Source: RFC 5280 §6.3.3 (c), (i), (j), §5.2.4.
fn state<'a>(
    certificate: &Certificate,
    complete: &CertificateList,
    usable: impl Iterator<Item = &'a CertificateList>,
) -> Option<RevocationReason> {
    let serial = certificate.tbs().serial_number;
    let reason_in = |list: &CertificateList| list.revoked.iter().find(|r| r.serial_number == serial).map(|r| r.reason);
    let delta = usable
        .filter(|delta| delta.base_crl_number.is_some_and(|base| base <= complete.crl_number))
        .filter(|delta| same_scope(delta, complete) && delta.crl_number >= complete.crl_number)
        .max_by_key(|delta| delta.crl_number);
    match delta {
        Some(delta) => reason_in(delta).or_else(|| {
            let removed = delta.removed.contains(&serial);
            if removed { None } else { reason_in(complete) }
        }),
        None => reason_in(complete),
    }
}
