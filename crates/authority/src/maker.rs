//! Devices that come with a certificate from who made them (IDevID): whose it is, whether a list expects it, and whether it stands.
//!
//! An operator names the certificate of a maker's authority, for this alone. A device is known by who signed its certificate and the
//! number that it has, as an accepted list says: by no name that stands in it.
//!
//! Prevents: a first certificate for whom no list expects; for who was revoked by the maker, or may have been; a maker's certificate in
//! the place of one of ours.
//! Source: IEEE 802.1AR-2018, RFC 5280 §6.

use crate::enrol::Shown;
use crate::looked::Looked;
use crate::ra::Ra;
use model::contract::maker::{MakerAuthority, MakerChange, MakerLists, MakerSet, SetMaker};
use model::{DeviceId, Fault, Reason, UnixTime};
use ports::store::identity::Idevid;
use ports::store::maker::{MAKERS_MAX, MakerRow};
use x509::extension::KeyUsage;
use x509::path::{Demands, Evidence, PathFault, Revocation, validate};
use x509::{Certificate, CertificateList, oids, sha256, weak};

/// Longest certificate that is looked at, in octets.
const CERTIFICATE_LEN_MAX: usize = 16 * 1024;
/// Longest list of revoked certificates that is taken, in octets: it comes in one message, and is read for each device that enrols.
pub const MAKER_LIST_LEN_MAX: usize = 2 * 1024 * 1024;

/// A certificate that was shown, and is one.
pub(crate) enum Presented {
    /// Of ours.
    Own(Box<Shown>),
    /// Of a maker's.
    Made(Box<Made>),
}

impl Presented {
    pub(crate) fn der(&self) -> &[u8] {
        match self {
            Self::Own(shown) => shown.read.der(),
            Self::Made(made) => made.read.der(),
        }
    }

    /// What tells transactions of ours and of makers apart.
    pub(crate) const fn kind(&self) -> &'static [u8] {
        match self {
            Self::Own(_) => b"certificate",
            Self::Made(_) => b"idevid",
        }
    }

    /// What records say that was shown.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Own(shown) => format!("certificate {}", shown.row.serial),
            Self::Made(made) => made.words(),
        }
    }
}

/// A certificate that a maker whom an operator named gave to a device.
#[derive(Clone)]
pub(crate) struct Made {
    maker: MakerRow,
    authority: Certificate,
    pub(crate) read: Certificate,
}

impl Made {
    fn idevid(&self) -> Idevid {
        Idevid { maker: self.maker.maker.clone(), serial: self.read.tbs().serial_number }
    }

    /// What records say that was shown: with this the new certificate leads to the old.
    pub(crate) fn words(&self) -> String {
        let (tbs, digest) = (self.read.tbs(), sha256(self.read.der()));
        let (maker, serial, issuer) = (&self.maker.maker, tbs.serial_number, &tbs.issuer);
        format!("certificate {serial} of the maker {maker} (issuer {issuer}; SHA-256 {digest})")
    }

    /// A certificate of ours is for a key of its own: the maker's lasts as long as the device, and changes hands with it.
    pub(crate) fn is_for_another_key_than(&self, request: &Looked) -> Result<(), Reason> {
        if self.read.tbs().subject_public_key == request.key { Err(Reason::KeyReused) } else { Ok(()) }
    }
}

impl Ra {
    /// Whose certificate it is that was shown: one of ours, or else one of a maker's.
    pub(crate) fn presented(&self, der: &[u8]) -> Result<Presented, Fault> {
        let refused = match self.shown(der) {
            Ok(shown) => return Ok(Presented::Own(Box::new(shown))),
            Err(fault) => fault,
        };
        // What is ours, and does not hold, is asked of nobody else.
        if refused != Fault::Refused(Reason::ClientUnknown) {
            return Err(refused);
        }
        let made = self.made(der)?.ok_or(refused)?;
        Ok(Presented::Made(Box::new(made)))
    }

    /// A certificate that is signed by a maker's authority, holds now, and is one of a device; none if it names no maker.
    fn made(&self, der: &[u8]) -> Result<Option<Made>, Fault> {
        let mut worst = None;
        for (maker, authority, read) in self.named_in(der)? {
            let Err(reason) = is_of_device(&read, &authority, self.now()) else {
                return Ok(Some(Made { maker, authority, read }));
            };
            // Another maker may have the same name, and another key: what is wrong below the right key says more.
            worst = if reason == Reason::MakerMismatch { worst.or(Some(reason)) } else { Some(reason) };
        }
        worst.map_or(Ok(None), |reason| Err(reason.into()))
    }

    /// The makers whom a certificate names as its issuer, and what it is when read.
    fn named_in(&self, der: &[u8]) -> Result<Vec<(MakerRow, Certificate, Certificate)>, Fault> {
        let Some(read) = Some(der).filter(|der| der.len() <= CERTIFICATE_LEN_MAX).map(Certificate::decode) else {
            return Ok(Vec::new());
        };
        let Ok(read) = read else { return Ok(Vec::new()) };
        let makers = self.setting().store.makers()?.into_iter().filter_map(|maker| {
            let authority = Certificate::decode(maker.certificate.as_ref()?).ok()?;
            Some((maker, authority)).filter(|(_, authority)| authority.tbs().subject.matches(&read.tbs().issuer))
        });
        Ok(makers.map(|(maker, authority)| (maker, authority, read.clone())).collect())
    }

    /// The device whose certificate it is.
    pub(crate) fn device_of(&self, presented: &Presented) -> Result<DeviceId, Fault> {
        match presented {
            Presented::Own(shown) => Ok(shown.row.subject.device().ok_or(Reason::ClientUnknown)?.clone()),
            Presented::Made(made) => self.expected(made),
        }
    }

    /// The device that a list expects with this certificate, unless the maker revoked it.
    pub(crate) fn expected(&self, made: &Made) -> Result<DeviceId, Fault> {
        let device = self.setting().store.device_with(&made.idevid())?.ok_or(Reason::IdevidNotListed)?;
        let Some(list) = self.setting().store.maker_list(&made.maker.maker)? else {
            return match made.maker.lists {
                MakerLists::Demanded => Err(Reason::MakerListStale.into()),
                MakerLists::None => Ok(device),
            };
        };
        let list = CertificateList::decode(&list).map_err(|_| Reason::MakerListStale)?;
        let evidence = Evidence {
            leaf: &made.read,
            pool: &[],
            anchors: std::slice::from_ref(&made.authority),
            crls: std::slice::from_ref(&list),
        };
        let demands = Demands { revocation: Revocation::Leaf, ..Demands::default() };
        validate(&evidence, &demands, self.now()).map_err(|disbelief| reason_of(disbelief.fault))?;
        Ok(device)
    }

    /// What a refused client called itself with the certificate that it showed, if that names a maker.
    pub(crate) fn calls_itself(&self, der: &[u8]) -> Option<String> {
        let (maker, _, read) = self.named_in(der).ok()?.into_iter().next()?;
        Some(format!("somebody with certificate {}, which names the maker {},", read.tbs().serial_number, maker.maker))
    }

    /// Says whose certificates of devices are proof from now on, and which of them are revoked.
    ///
    /// # Errors
    /// [`Fault::Malformed`] if the certificate is none of an authority, or there are more makers than may be. [`Fault::Refused`] with
    /// [`Reason::WeakKey`], [`Reason::ClientExpired`], [`Reason::MakerKnown`] if another certificate is to be replaced explicitly,
    /// [`Reason::MakerUnknown`], [`Reason::MakerListInvalid`], [`Reason::MakerListStale`] or [`Reason::MakerListNotNewer`].
    pub(crate) fn set_maker(&self, call: &SetMaker) -> Result<MakerSet, Fault> {
        let (store, now) = (&self.setting().store, self.now());
        let makers = store.makers()?;
        let known = makers.iter().find(|row| row.maker == call.maker);
        match &call.change {
            MakerChange::Trust(authority) | MakerChange::Replace(authority) => {
                let certificate = authority_of(authority, now)?;
                let present = known.and_then(|row| Some((row.certificate.as_ref()?, row.lists)));
                let is_same = present.is_some_and(|(der, lists)| der == certificate.der() && lists == authority.lists);
                match (&call.change, present) {
                    (MakerChange::Replace(_), None) => return Err(Reason::MakerUnknown.into()),
                    (MakerChange::Trust(_), Some(_)) if !is_same => return Err(Reason::MakerKnown.into()),
                    _ => {}
                }
                if known.is_none() && makers.len() >= MAKERS_MAX {
                    return Err(Fault::malformed("there are 64 makers already"));
                }
                store.set_maker(&call.maker, Some((&certificate, authority.lists)), now)?;
            }
            MakerChange::Distrust => {
                known.ok_or(Reason::MakerUnknown)?;
                store.set_maker(&call.maker, None, now)?;
            }
            MakerChange::Revoked(der) => {
                let row = known.ok_or(Reason::MakerUnknown)?;
                let list = list_of(row, der.as_ref(), now)?;
                store.take_maker_list(&call.maker, &list, der.as_ref(), now)??;
            }
        }
        let row = store.makers()?.into_iter().find(|row| row.maker == call.maker).ok_or(Reason::MakerUnknown)?;
        let MakerRow { certificate, number, next_update, .. } = row;
        Ok(MakerSet { certificate: certificate.map(|der| sha256(&der)), number, next_update })
    }
}

/// Whether a certificate holds now below a maker's authority, and is one of a device: no authority's, and for clients who sign, if it
/// says what it is for. Its revocation is looked at when it is known that a list expects it.
fn is_of_device(read: &Certificate, authority: &Certificate, now: UnixTime) -> Result<(), Reason> {
    let anchors = std::slice::from_ref(authority);
    let demands = Demands { purpose: Some(oids::CLIENT_AUTH), ..Demands::default() };
    validate(&Evidence { leaf: read, pool: &[], anchors, crls: &[] }, &demands, now)
        .map_err(|disbelief| reason_of(disbelief.fault))?;
    let usage = read.tbs().extension(oids::KEY_USAGE).and_then(|extension| KeyUsage::decode(&extension.value));
    let is_authority = read.basic_constraints().is_some_and(|constraints| constraints.ca);
    if is_authority || usage.is_some_and(|usage| !usage.has(KeyUsage::DIGITAL_SIGNATURE)) {
        return Err(Reason::NotAnIdevid);
    }
    weak::check(&read.tbs().subject_public_key).map_err(|_| Reason::WeakKey)
}

const fn reason_of(fault: PathFault) -> Reason {
    match fault {
        PathFault::BadSignature | PathFault::NoIssuer => Reason::MakerMismatch,
        PathFault::NotYetValid | PathFault::Expired => Reason::ClientExpired,
        PathFault::Revoked(_) | PathFault::OnHold => Reason::ClientRevoked,
        PathFault::CrlMissing
        | PathFault::CrlOutOfScope
        | PathFault::CrlBadSignature
        | PathFault::CrlNotYetValid
        | PathFault::CrlExpired => Reason::MakerListStale,
        PathFault::NotAuthority
        | PathFault::PathTooLong
        | PathFault::MayNotSign
        | PathFault::UnknownCritical
        | PathFault::BadExtension
        | PathFault::NameForbidden
        | PathFault::NoPolicy
        | PathFault::WrongPurpose
        | PathFault::WrongName => Reason::NotAnIdevid,
    }
}

/// The certificate of a maker's authority, if it may sign certificates now.
fn authority_of(call: &MakerAuthority, now: UnixTime) -> Result<Certificate, Fault> {
    let certificate = Certificate::decode(call.certificate.as_ref())?;
    let tbs = certificate.tbs();
    let usage = tbs.extension(oids::KEY_USAGE).and_then(|extension| KeyUsage::decode(&extension.value));
    let may_sign = usage.is_none_or(|usage| usage.has(KeyUsage::KEY_CERT_SIGN));
    if !may_sign || !certificate.basic_constraints().is_some_and(|constraints| constraints.ca) {
        return Err(Fault::malformed("the certificate is none of an authority that signs certificates"));
    }
    weak::check(&tbs.subject_public_key).map_err(|_| Reason::WeakKey)?;
    if now < tbs.not_before || tbs.not_after < now.whole_second() {
        return Err(Reason::ClientExpired.into());
    }
    Ok(certificate)
}

/// A list of revoked certificates, if it is a maker's whole one, and in time.
fn list_of(row: &MakerRow, der: &[u8], now: UnixTime) -> Result<CertificateList, Fault> {
    let authority = row.certificate.as_ref().ok_or(Reason::MakerUnknown)?;
    let authority = Certificate::decode(authority)?;
    if der.len() > MAKER_LIST_LEN_MAX {
        return Err(Fault::malformed("the list of revoked certificates is longer than 2 MiB"));
    }
    let list = CertificateList::decode(der)?;
    let tbs = authority.tbs();
    let usage = tbs.extension(oids::KEY_USAGE).and_then(|extension| KeyUsage::decode(&extension.value));
    let is_its = list.issuer.matches(&tbs.subject)
        && usage.is_none_or(|usage| usage.has(KeyUsage::CRL_SIGN))
        && list.verify(&tbs.subject_public_key).is_ok();
    let is_whole = list.base_crl_number.is_none() && list.issuing_distribution_point.is_none();
    // The store counts no further.
    if !is_its || !is_whole || list.this_update > now || i64::try_from(list.crl_number).is_err() {
        return Err(Reason::MakerListInvalid.into());
    }
    if list.next_update < now.whole_second() { Err(Reason::MakerListStale.into()) } else { Ok(list) }
}
