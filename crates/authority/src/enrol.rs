//! Who comes over the network: what was shown, whom it proves, and what may be had on it. Then the same door as for all others.
//!
//! Prevents: a certificate for another than whoever is proved; two certificates on one secret or one renewal; a way in for
//! who is revoked, expired, stolen or on no list.
//! Source: RFC 7030, RFC 8951. What CMP does otherwise stands in [`crate::cmp`].

use crate::ca::Ca;
use crate::looked::Looked;
use crate::maker::Presented;
use crate::ra::Ra;
use crate::renewal::{is_for, is_renewal, spoken};
use const_oid::ObjectIdentifier;
use issue::Profile;
use issue::profile::{Protocol, Requester, SubjectKind};
use model::audit::{Entry, Event};
use model::contract::authority::{Answer, Certify, CertifyRequest, Done, Evidence};
use model::contract::enrolment::{AllowEnrolment, Enrol, Enrolled, EnrolmentKind, ShownSecret};
use model::{
    Base64, DeviceId, Digest, Entity, EstLabel, Fault, Module, ProfileName, Reason, StationName, TransactionId,
    UnixTime,
};
use ports::clock::random;
use ports::directory::Caller;
use ports::store::authority::{CertificateFilter, CertificateRow, EnrolmentDraft, Grant, LeftBy, Registered, Standing};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use wire::est::{Binding, binding};
use x509::path::{Demands, PathFault, validate};
use x509::{Certificate, CertificationRequest, oids};

/// How long the leave of a renewal lasts: only a process that dies in the middle needs more than a moment.
const RENEWAL_S: u64 = 86_400;
/// How often one certificate is renewed, if each certificate that took its place was revoked.
const RENEWALS_MAX: u8 = 16;
/// Certificates of one device under one profile that are looked at.
pub(crate) const HELD_MAX: u32 = 1000;
/// Longest certificate that is looked at, in octets; ours with the largest keys have 8 KiB.
const CERTIFICATE_LEN_MAX: usize = 16 * 1024;

/// What km knows of EST.
#[derive(Clone, Debug, Default)]
pub struct Est {
    /// Under which label certificates of which profile are had.
    pub labels: BTreeMap<EstLabel, ProfileName>,
    /// The label that is taken where a path has none.
    pub default: Option<EstLabel>,
    /// Labels under which a request must say on which connection it comes.
    pub bound: BTreeSet<EstLabel>,
    /// The host names of the gateway.
    pub names: Vec<String>,
}

/// What was asked for under a label.
pub(crate) struct Offered {
    pub(crate) label: EstLabel,
    pub(crate) profile: Arc<Profile>,
}

/// What is asked for, and how it came.
pub(crate) struct Wish<'a> {
    pub(crate) protocol: Protocol,
    pub(crate) kind: EnrolmentKind,
    pub(crate) offered: &'a Offered,
    pub(crate) evidence: &'a Evidence,
    /// The registration authority that speaks for the device: it asks, and no device was proved to.
    pub(crate) voucher: Option<&'a StationName>,
}

/// Who was proved to ask.
pub(crate) struct Proved {
    pub(crate) device: DeviceId,
    /// The certificate that was shown.
    pub(crate) certificate: Option<Presented>,
    /// The digest of the secret that was shown.
    pub(crate) secret: Option<Digest>,
}

/// A certificate of ours that holds.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) row: CertificateRow,
    pub(crate) read: Certificate,
}

/// The secret that was left for a device.
pub(crate) struct Left {
    pub(crate) device: DeviceId,
    /// SHA-256 of it.
    pub(crate) digest: Digest,
    pub(crate) grant: Grant,
}

/// What is asked at the one door.
pub(crate) struct Admission {
    pub(crate) transaction_id: TransactionId,
    pub(crate) subject: Entity,
    /// What was shown, in words.
    pub(crate) shown: String,
    /// Whether this very transaction was answered before.
    pub(crate) is_repeated: bool,
}

impl Ra {
    /// What is had under a label.
    pub(crate) fn offered(&self, label: Option<&EstLabel>) -> Result<Offered, Fault> {
        let est = &self.setting().est;
        let label = label.or(est.default.as_ref()).ok_or(Reason::LabelUnknown)?;
        let name = est.labels.get(label).ok_or(Reason::LabelUnknown)?;
        let profile = self.setting().profiles.get(name).ok_or(Reason::ProfileUnknown)?;
        Ok(Offered { label: label.clone(), profile: Arc::clone(profile) })
    }

    /// Answers one request that came over EST. What it says of itself proves nothing; what was shown does.
    #[must_use]
    pub fn enrol(&self, caller: &Caller, call: &Enrol) -> Enrolled {
        let fresh = TransactionId::at(self.now(), random(self.setting().entropy.as_ref()));
        let evidence = Evidence::Pkcs10(call.request.clone());
        let (offered, admission) = match self.inspect(call, &evidence) {
            Ok(inspected) => inspected,
            Err((who, fault)) => {
                self.remember_stranger(caller, who, fresh, &fault);
                return Enrolled { transaction_id: fresh, outcome: Err(fault), renew_after_s: None };
            }
        };
        let wish =
            Wish { protocol: Protocol::Est, kind: call.kind, offered: &offered, evidence: &evidence, voucher: None };
        let outcome = self.let_in(caller, &wish, &admission);
        let renew_after_s = outcome.as_ref().ok().and_then(|certificate| self.renew_after_s(certificate));
        Enrolled { transaction_id: admission.transaction_id, outcome, renew_after_s }
    }

    /// Through the door that all requests come through.
    pub(crate) fn let_in(&self, caller: &Caller, wish: &Wish<'_>, admission: &Admission) -> Result<Base64, Fault> {
        let Admission { transaction_id, subject, shown, is_repeated } = admission;
        let Offered { label, profile } = wish.offered;
        let request = CertifyRequest {
            transaction_id: *transaction_id,
            subject: subject.clone(),
            profile: profile.name().clone(),
            evidence: wish.evidence.clone(),
        };
        let mut certified = self.admit_by(wish.protocol, caller, wish.voucher, &Certify { requests: vec![request] })?;
        match certified.answers.pop() {
            Some(Answer::Issued { certificate, .. }) => {
                if !is_repeated {
                    let event = Event::Enrolled {
                        subject: subject.to_string(),
                        transaction: *transaction_id,
                        label: label.to_string(),
                        shown: shown.to_owned(),
                        protocol: spoken(wish.protocol).map(str::to_owned),
                    };
                    self.setting().store.append(vec![Entry { at: self.now(), by: Module::Authority, event }])?;
                }
                Ok(certificate)
            }
            Some(Answer::Failed(fault)) => {
                let is_other = fault == Fault::Refused(Reason::TransactionConflict);
                Err(match wish.kind {
                    EnrolmentKind::Renewal if is_other => Reason::AlreadyRenewed.into(),
                    EnrolmentKind::New if is_other => Reason::SecretUsed.into(),
                    EnrolmentKind::Renewal | EnrolmentKind::New => fault,
                })
            }
            None => Err(Fault::unavailable("no answer was made")),
        }
    }

    /// Everything that is asked of who comes over EST. With a fault, whom it is about.
    fn inspect(&self, call: &Enrol, evidence: &Evidence) -> Result<(Offered, Admission), (String, Fault)> {
        let name = || call.label.as_ref().map_or_else(|| "est".to_owned(), |label| format!("est/{label}"));
        let stranger = |fault: Fault| (format!("somebody unknown at {}", name()), fault);
        let offered = self.offered(call.label.as_ref()).map_err(stranger)?;
        let proved = self.prove(call, &offered).map_err(|fault| {
            let certificate = call.certificate.as_ref().and_then(|der| self.calls_itself(der.as_ref()));
            (certificate.map_or_else(|| stranger(fault.clone()).0, |who| format!("{who} at {}", name())), fault)
        })?;
        let device = proved.device.clone();
        self.is_bound(call, &offered).map_err(|fault| (device.to_string(), fault))?;
        let wish = Wish { protocol: Protocol::Est, kind: call.kind, offered: &offered, evidence, voucher: None };
        let admission = self.asked(&wish, proved).map_err(|fault| (device.to_string(), fault))?;
        Ok((offered, admission))
    }

    /// Whether a request was made for the connection on which it came, if it says so or has to. What cannot be told is no yes.
    fn is_bound(&self, call: &Enrol, offered: &Offered) -> Result<(), Fault> {
        let request = CertificationRequest::decode(call.request.as_ref())?;
        let channel = call.channel.as_ref().map(AsRef::as_ref);
        match binding(request.challenge_password.as_deref(), channel) {
            Binding::This => Ok(()),
            Binding::Absent if !self.setting().est.bound.contains(&offered.label) => Ok(()),
            Binding::Absent | Binding::Another => Err(Reason::ChannelUnbound.into()),
        }
    }

    /// Everything that is asked of who comes over the network, was proved to be somebody, and of nobody else.
    pub(crate) fn asked(&self, wish: &Wish<'_>, proved: Proved) -> Result<Admission, Fault> {
        let Wish { protocol, kind, offered, evidence, voucher } = wish;
        let profile = &offered.profile;
        let Proved { device, certificate, secret } = proved;
        self.may_ask(&device, profile, *protocol)?;
        let request = if voucher.is_some() { Looked::spoken_for(evidence)? } else { Looked::at(evidence)? };
        let subject = Entity::Device(device);
        let held = self.held(&subject, profile.name())?;
        let of = |parts: &[&[u8]]| transaction(offered, parts);
        if let Some(Presented::Made(made)) = &certificate {
            made.is_for_another_key_than(&request)?;
        }
        if *kind == EnrolmentKind::Renewal {
            let shown = match certificate {
                Some(Presented::Own(shown)) => *shown,
                // It stays beside ours, and is renewed by nobody.
                Some(Presented::Made(_)) => return Err(Reason::LabelMismatch.into()),
                None => return Err(Reason::ClientUnproved.into()),
            };
            is_renewal(&request, &shown, profile)?;
            let (transaction_id, is_repeated) = self.in_place_of(offered, &subject, &held, &shown, &request)?;
            let words = format!("certificate {}, which it renews", shown.row.serial);
            return Ok(Admission { transaction_id, subject, shown: words, is_repeated });
        }
        let (transaction_id, shown) = match (&secret, &certificate) {
            (None, None) if let Some(name) = voucher => {
                let (device, key) = (subject.to_string(), request.key.digest());
                let id = of(&[b"vouched", name.as_str().as_bytes(), device.as_bytes(), key.octets()]);
                let proof = if request.vouched { "" } else { ", and a proof by the key itself" };
                (id, format!("the word of the registration authority {name}{proof}"))
            }
            (Some(secret), beside) => {
                let id = of(&[b"secret", secret.octets()]);
                (
                    id,
                    beside.as_ref().map_or("a one-time secret".to_owned(), |beside| {
                        format!("a one-time secret, and {}", beside.words())
                    }),
                )
            }
            (None, Some(shown)) => {
                let (which, key) = (shown.kind(), request.key.digest());
                (of(&[which, shown.der(), key.octets()]), shown.words())
            }
            (None, None) => return Err(Reason::ClientUnproved.into()),
        };
        // One that nobody confirmed is revoked, and its use of the grant was given back; the door knows that.
        let before = held.iter().find(|row| row.transaction_id == transaction_id && row.revoked.is_none());
        if before.is_some_and(|row| !is_for(row, &request)) {
            return Err(Reason::SecretUsed.into());
        }
        let is_repeated = before.is_some();
        Ok(Admission { transaction_id, subject, shown, is_repeated })
    }

    /// Whether a device may ask for certificates under a profile.
    pub(crate) fn may_ask(&self, device: &DeviceId, profile: &Profile, protocol: Protocol) -> Result<(), Fault> {
        match self.setting().store.registered(device)? {
            Registered::Yes => {}
            Registered::No => return Err(Reason::NotOnList.into()),
            Registered::Held => return Err(Reason::BoardHeld.into()),
        }
        Ok(profile.admit(Requester::Device, protocol)?)
    }

    /// The transaction in which a certificate is renewed, over whatever protocol, and whether it was begun before.
    pub(crate) fn in_place_of(
        &self,
        offered: &Offered,
        subject: &Entity,
        held: &[CertificateRow],
        shown: &Shown,
        request: &Looked,
    ) -> Result<(TransactionId, bool), Fault> {
        let begun = |id: &TransactionId| held.iter().find(|row| row.transaction_id == *id);
        // A certificate that took its place and was revoked since did not come into use, or not for long.
        let ids = (0..RENEWALS_MAX).map(|n| transaction(offered, &[b"renewal", shown.read.der(), &[n]]));
        let mut ids = ids.filter(|id| begun(id).is_none_or(|row| row.revoked.is_none()));
        let transaction_id = ids.next().ok_or(Reason::AlreadyRenewed)?;
        let before = begun(&transaction_id);
        if before.is_some_and(|row| !is_for(row, request)) {
            return Err(Reason::AlreadyRenewed.into());
        }
        if before.is_none() {
            self.let_renew(subject, offered.profile.name())?;
        }
        Ok((transaction_id, before.is_some()))
    }

    /// Leave for one certificate more, unless there is such leave: a request that waits for operators comes again and again.
    fn let_renew(&self, subject: &Entity, profile: &ProfileName) -> Result<(), Fault> {
        let (store, at) = (&self.setting().store, self.now());
        let grant = store.grants(&[(subject, profile)])?.pop().flatten();
        if grant.is_some_and(|grant| grant.used < grant.quota && at <= grant.until) {
            return Ok(());
        }
        let (subject, profile, until) = (subject.clone(), profile.clone(), at.plus_s(RENEWAL_S));
        Ok(store.let_enrol(&EnrolmentDraft { subject, profile, until, left_by: LeftBy::Renewal, at })?)
    }

    /// Whom it is proved to be that asks. Two proofs must be of one device.
    fn prove(&self, call: &Enrol, offered: &Offered) -> Result<Proved, Fault> {
        let certificate = call.certificate.as_ref().map(|der| self.presented(der.as_ref())).transpose()?;
        let by_certificate = certificate.as_ref().map(|presented| self.device_of(presented)).transpose()?;
        let by_secret = match &call.secret {
            Some(secret) => Some(self.opens(secret, by_certificate.as_ref(), offered)?),
            None => None,
        };
        match (by_certificate, by_secret) {
            (Some(one), Some(other)) if one != other => Err(Reason::ClientsDiffer.into()),
            (Some(device), _) | (None, Some(device)) => {
                Ok(Proved { device, certificate, secret: call.secret.as_ref().map(|secret| secret.digest) })
            }
            (None, None) => Err(Reason::ClientUnproved.into()),
        }
    }

    /// The device whose secret it is.
    pub(crate) fn opens(
        &self,
        secret: &ShownSecret,
        other: Option<&DeviceId>,
        offered: &Offered,
    ) -> Result<DeviceId, Fault> {
        let device = self.device_named(&secret.user)?.ok_or(Reason::SecretUnknown)?;
        if other.is_some_and(|other| *other != device) {
            return Err(Reason::ClientsDiffer.into());
        }
        let left = self.left_for(device, offered)?;
        if !is_same(&left.digest, &secret.digest) {
            return Err(Reason::SecretUnknown.into());
        }
        self.is_in_time(&left)?;
        Ok(left.device)
    }

    /// The secret that was left for a device under a label.
    pub(crate) fn left_for(&self, device: DeviceId, offered: &Offered) -> Result<Left, Fault> {
        let store = &self.setting().store;
        let subject = Entity::Device(device.clone());
        let grant =
            store.grants(&[(&subject, offered.profile.name())])?.pop().flatten().ok_or(Reason::SecretUnknown)?;
        let digest = store.secret_that_opens(grant.id)?.ok_or(Reason::SecretUnknown)?;
        Ok(Left { device, digest, grant })
    }

    /// Whether a secret, which was shown, opens anything still.
    pub(crate) fn is_in_time(&self, left: &Left) -> Result<(), Fault> {
        let Grant { until, used, quota, .. } = left.grant;
        // One that was used opens nothing anew; that its own transaction is repeated does not depend on time.
        if self.now() > until && used < quota { Err(Reason::SecretExpired.into()) } else { Ok(()) }
    }

    pub(crate) fn device_named(&self, user: &str) -> Result<Option<DeviceId>, Fault> {
        match user.parse::<DeviceId>() {
            Ok(device) => Ok(Some(device)),
            Err(_) => match user.parse() {
                Ok(serial) => Ok(self.setting().store.device_of(&serial)?),
                Err(_) => Ok(None),
            },
        }
    }

    /// A certificate that was shown: one of ours, octet for octet, that holds now, as those above it do.
    pub(crate) fn shown(&self, der: &[u8]) -> Result<Shown, Fault> {
        self.holding(der, Some(oids::CLIENT_AUTH))
    }

    /// The same for a purpose, or whatever it is for.
    pub(crate) fn holding(&self, der: &[u8], purpose: Option<ObjectIdentifier>) -> Result<Shown, Fault> {
        if der.len() > CERTIFICATE_LEN_MAX {
            return Err(Reason::ClientUnknown.into());
        }
        let read = Certificate::decode(der).map_err(|_| Reason::ClientUnknown)?;
        let store = &self.setting().store;
        let row = store.certificate(&read.tbs().serial_number)?.ok_or(Reason::ClientUnknown)?;
        // Another authority may have given the same number to somebody else.
        if row.der != der {
            return Err(Reason::ClientUnknown.into());
        }
        let ca = self.cas().find(&row.authority).map_err(|_| Reason::ClientUnknown)?;
        match store.standing(ca.row().id, &row.serial)? {
            Standing::Good { .. } => {}
            Standing::Revoked { .. } => return Err(Reason::ClientRevoked.into()),
            Standing::NeverIssued | Standing::Reserved => return Err(Reason::ClientUnknown.into()),
        }
        self.holds(&read, &ca, purpose, self.now())?;
        Ok(Shown { row, read })
    }

    /// Whether a path leads from a certificate to its root, now, with nothing revoked on it.
    fn holds(
        &self,
        leaf: &Certificate,
        ca: &Arc<Ca>,
        purpose: Option<ObjectIdentifier>,
        now: UnixTime,
    ) -> Result<(), Fault> {
        let above = ca.chain().iter().map(|der| Certificate::decode(der)).collect::<Result<Vec<_>, _>>()?;
        let Some((anchor, pool)) = above.split_last() else { return Err(Reason::ClientUnknown.into()) };
        let evidence = x509::path::Evidence { leaf, pool, anchors: std::slice::from_ref(anchor), crls: &[] };
        let demands = Demands { purpose, ..Demands::default() };
        validate(&evidence, &demands, now).map_err(|disbelief| match disbelief.fault {
            PathFault::Expired | PathFault::NotYetValid => Reason::ClientExpired,
            _ => Reason::ClientUnknown,
        })?;
        for authority in above.iter().filter_map(|above| self.cas().of_certificate(above)) {
            self.is_in_force(&authority)?;
        }
        Ok(())
    }

    /// Whether an authority of ours is not revoked by the one above it.
    fn is_in_force(&self, ca: &Ca) -> Result<(), Fault> {
        let (Some(issuer), Some(own)) = (&ca.row().issuer, ca.certificate()) else { return Ok(()) };
        let Ok(issuer) = self.cas().find(issuer) else { return Ok(()) };
        match self.setting().store.standing(issuer.row().id, &own.tbs().serial_number)? {
            Standing::Revoked { .. } => Err(Reason::ClientRevoked.into()),
            // One that was taken in with its certificate was issued elsewhere.
            Standing::Good { .. } | Standing::NeverIssued | Standing::Reserved => Ok(()),
        }
    }

    /// The certificates that a device has under a profile.
    pub(crate) fn held(&self, subject: &Entity, profile: &ProfileName) -> Result<Vec<CertificateRow>, Fault> {
        let filter = CertificateFilter {
            subject: Some(subject.clone()),
            profile: Some(profile.clone()),
            limit: HELD_MAX,
            ..CertificateFilter::default()
        };
        Ok(self.setting().store.certificates(&filter)?)
    }

    /// Lets a registered device enrol once.
    pub(crate) fn allow_enrolment(&self, call: &AllowEnrolment) -> Result<Done, Fault> {
        let store = &self.setting().store;
        let profile = self.setting().profiles.get(&call.profile).ok_or(Reason::ProfileUnknown)?;
        if profile.is_authority() || profile.subject_kind() != SubjectKind::Device {
            return Err(Reason::IssuerNotAllowed.into());
        }
        let device = call.subject.device().ok_or(Reason::NotOnList)?;
        match store.registered(device)? {
            Registered::Yes => {}
            Registered::No => return Err(Reason::NotOnList.into()),
            Registered::Held => return Err(Reason::BoardHeld.into()),
        }
        store.let_enrol(&EnrolmentDraft {
            subject: call.subject.clone(),
            profile: call.profile.clone(),
            until: call.until,
            left_by: LeftBy::Operator(call.secret),
            at: self.now(),
        })?;
        self.keep_sealed(call)?;
        Ok(Done {})
    }

    /// A refusal before the door leaves its reason too; a flood of them leaves no more than so many.
    pub(crate) fn remember_stranger(
        &self,
        caller: &Caller,
        subject: String,
        transaction: TransactionId,
        fault: &Fault,
    ) {
        let Fault::Refused(reason) = fault else { return };
        if !self.may_note(caller) {
            return;
        }
        let event = Event::CertificateRefused { subject, transaction, reason: *reason };
        // The refusal stands whether or not it can be written down.
        let _refused_anyway = self.setting().store.append(vec![Entry { at: self.now(), by: Module::Authority, event }]);
    }
}

/// The name of a transaction that depends on what was shown, so that a repetition has the same, and nothing is used twice.
pub(crate) fn transaction(offered: &Offered, parts: &[&[u8]]) -> TransactionId {
    let lengths: Vec<[u8; 8]> =
        parts.iter().map(|part| u64::try_from(part.len()).unwrap_or_default().to_be_bytes()).collect();
    let name = offered.profile.name().as_str().as_bytes();
    let parts = lengths.iter().zip(parts).flat_map(|(length, part)| [length.as_slice(), part]);
    let digest = x509::sha256_of_parts([b"est".as_slice(), name, &[0]].into_iter().chain(parts));
    let (first, _) = digest.octets().split_first_chunk().unwrap_or((&[0; 16], &[]));
    TransactionId::new(*first)
}

/// In a time that does not depend on where they differ.
pub(crate) fn is_same(one: &Digest, other: &Digest) -> bool {
    one.octets().iter().zip(other.octets()).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}
