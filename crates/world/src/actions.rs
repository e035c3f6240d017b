//! What people, stations and requesters do.

use crate::board::{Hardware, Placed, serial_of};
use crate::hub::{Between, Node, locked};
use crate::template::{DEVICE_TYPE, FACTORY, OPERATOR, OrStuck, Stuck, name, request_of};
use crate::world::{PLACES, World};
use model::contract::authority::{
    Answer, AnswerOcsp, Certify, CertifyRequest, Confirm, Confirmation, Entitle, Evidence, GrantOffer, IssueCrl,
    Release, RevocationReason, Revoke, Verdict,
};
use model::contract::identity::{DepositPending, ImportList, ListFormat, ListImported};
use model::mode::Order;
use model::{DeviceId, Entity, Fault, Mode, Module, TransactionId};
use ports::clock::random;
use ports::flasher::Board;
use ports::store::{LineStore, SoftwareStore};
use ports::{Clock, Link};
use provisioning::{Flashing, Outcome, Setting, Station, Tray, Unwatched};
use std::sync::{Arc, Mutex};
use wire::ocsp::{HashAlgorithm, IssuerIds, request};
use x509::SerialNumber;

/// The profile under which a device may have several certificates.
const SEVERAL: &str = "idevid";
/// How long devices of a list may be certified, in seconds.
const LIST_S: u64 = 10 * 86_400;

impl World {
    /// Brings the box into a mode in which km runs, if it is in none.
    pub(crate) fn want_km(&self) -> Result<(), Stuck> {
        let row = self.row()?;
        if row.binding.permits(Module::Authority) {
            return Ok(());
        }
        if !row.order.covers(Mode::ProvisionCertificate) {
            self.order(Order::Provision)?;
        }
        self.enter(Mode::ProvisionCertificate)
    }

    /// The same, most of the time: who forgets it is refused.
    fn mostly_want_km(&self) -> Result<(), Stuck> {
        let wanted = self.hub.dice().hits(850);
        if wanted && !self.hub.is_between() { self.want_km() } else { Ok(()) }
    }

    pub(crate) fn change_mode(&self) -> Result<(), Stuck> {
        const ORDERS: [Order; 6] = [
            Order::Provision,
            Order::Provision,
            Order::Stay(Mode::CertificateManagement),
            Order::Stay(Mode::ProvisionCertificate),
            Order::Stay(Mode::Ceremony),
            Order::Stay(Mode::SoftwareImport),
        ];
        let order = self.hub.dice().pick(&ORDERS).copied().unwrap_or(Order::Provision);
        self.order(order)
    }

    fn device(&self, n: u64) -> Result<DeviceId, Stuck> {
        Ok(DeviceId { maker_pen: 32473, device_type: name(DEVICE_TYPE)?, serial: name(&serial_of(n))? })
    }

    /// The board with this label; now and then another one with the same label.
    fn board(&self, label: u64) -> Result<Arc<Mutex<Hardware>>, Stuck> {
        let wanted = serial_of(label);
        let mut hardware = locked(&self.hardware);
        let known = hardware.iter().find(|known| locked(known).serial.as_str() == wanted).cloned();
        let is_copy = self.hub.strikes(|w| w.board);
        if let Some(known) = known.filter(|_| !is_copy) {
            return Ok(known);
        }
        let n = u64::try_from(hardware.len()).unwrap_or(0);
        let made = Arc::new(Mutex::new(Hardware::new(n, label)?));
        hardware.push(Arc::clone(&made));
        Ok(made)
    }

    /// A number on a list, or just behind it. Stations and other requesters mostly take different ones.
    fn some_label(&self, odd: bool) -> u64 {
        let listed = *locked(&self.listed);
        let mut dice = self.hub.dice();
        let n = dice.between(1, listed + 1);
        if dice.hits(200) { n } else { (n / 2) * 2 + u64::from(odd) }
    }

    /// A station takes a tray through both halves of the line.
    pub(crate) fn tray(&self) -> Result<(), Stuck> {
        if !self.row()?.order.covers(Mode::ProvisionSoftware) {
            self.order(Order::Provision)?;
        }
        self.enter(Mode::ProvisionSoftware)?;
        let Some((link, node, store)) = self.process("pm") else { return Ok(()) };
        let releases: Arc<dyn SoftwareStore> = self.inner()?;
        let store: Arc<dyn LineStore> = store;
        let station = Station::new(Setting {
            link,
            store,
            releases,
            primary: Some(self.template.primary.clone()),
            vault: self.template.vault.clone(),
            entropy: self.entropy.clone(),
            operator: name(OPERATOR)?,
            device_type: self.template.device_type.clone(),
            trust_anchors: self.template.trust_anchors.clone(),
            flash_retries: 1,
            hands: 1,
        });
        let len = self.hub.dice().between(1, 3);
        let mut boards: Vec<Box<dyn Board>> = Vec::new();
        for _ in 0..len {
            let hardware = self.board(self.some_label(true))?;
            boards.push(Box::new(Placed { hub: Arc::clone(&self.hub), hardware, is_silent: false }));
        }
        let mut tray = Tray::new(boards);
        let worked = self.work(&station, &mut tray);
        self.hub.log(|| format!("  the tray: {worked:?}"));
        for report in tray.reports() {
            self.hub.log(|| format!("    {:?}", report.outcome));
            if let (Outcome::Provisioned { .. }, Some(serial), false) = (report.outcome, report.serial, node.is_dead())
            {
                locked(&self.hub.oracle).device_provisioned(serial.to_string());
            }
        }
        Ok(())
    }

    fn work(&self, station: &Station, tray: &mut Tray) -> Result<Result<(), Fault>, Stuck> {
        let half =
            station.release().and_then(|release| station.software(tray, &release, Flashing::Allowed, &Unwatched));
        if half.is_err() {
            return Ok(half);
        }
        self.enter(Mode::ProvisionCertificate)?;
        self.keep_awake();
        Ok(station.certificates(tray, &Unwatched))
    }

    /// Somebody asks for certificates: for the first time, again, or for what is not his.
    pub(crate) fn request(&self) -> Result<(), Stuck> {
        self.mostly_want_km()?;
        let Some((link, ..)) = self.process("pm") else { return Ok(()) };
        let len = self.hub.dice().between(1, 3);
        let mut requests = Vec::new();
        for _ in 0..len {
            let asked = locked(&self.requests).clone();
            let kind = self.hub.dice().below(10);
            let before = self.hub.dice().pick(&asked).cloned();
            let request = match (kind, before) {
                (0..3, Some(before)) => before,
                (3, Some(before)) => self.with_another_key(before)?,
                (4, Some(before)) => {
                    CertifyRequest { subject: Entity::Device(self.device(self.some_label(false))?), ..before }
                }
                (5, Some(before)) => CertifyRequest { transaction_id: self.transaction(), ..before },
                (6, _) => CertifyRequest { profile: name(SEVERAL)?, ..self.fresh()? },
                _ => self.fresh()?,
            };
            locked(&self.requests).push(request.clone());
            requests.push(request);
        }
        let _told_to_the_oracle = link.call(&Certify { requests });
        Ok(())
    }

    fn transaction(&self) -> TransactionId {
        TransactionId::at(self.hub.now(), random(self.entropy.as_ref()))
    }

    pub(crate) fn fresh(&self) -> Result<CertifyRequest, Stuck> {
        let label = self.some_label(false);
        let hardware = self.board(label)?;
        let evidence = evidence(&hardware)?;
        let subject = Entity::Device(self.device(label)?);
        Ok(CertifyRequest { transaction_id: self.transaction(), subject, profile: name("unit")?, evidence })
    }

    fn with_another_key(&self, before: CertifyRequest) -> Result<CertifyRequest, Stuck> {
        let evidence = evidence(&self.board(self.some_label(false))?)?;
        Ok(CertifyRequest { evidence, ..before })
    }

    /// Asks again what became of requests. Gives whether somebody knows.
    pub(crate) fn repeat(&self, requests: &[CertifyRequest]) -> Result<bool, Stuck> {
        let Some((link, ..)) = self.process("pm") else { return Ok(false) };
        let answer = link.call(&Certify { requests: requests.to_vec() });
        let is_known = |answer: &Answer| matches!(answer, Answer::Issued { .. } | Answer::Failed(Fault::Refused(_)));
        self.hub.log(|| format!("  repeated: {:?}", answer.as_ref().map(|certified| certified.answers.len())));
        Ok(answer.is_ok_and(|certified| certified.answers.iter().all(is_known)))
    }

    /// Somebody says what became of a certificate.
    pub(crate) fn verdict(&self) -> Result<(), Stuck> {
        self.mostly_want_km()?;
        let Some((link, ..)) = self.process("pm") else { return Ok(()) };
        let asked: Vec<_> = locked(&self.requests).iter().map(|request| request.transaction_id).collect();
        let Some(transaction_id) = self.hub.dice().pick(&asked).copied() else { return Ok(()) };
        let verdict = if self.hub.dice().hits(600) { Verdict::Accepted } else { Verdict::Rejected };
        let _told_to_the_oracle = link.call(&Confirm { confirmations: vec![Confirmation { transaction_id, verdict }] });
        Ok(())
    }

    /// A serial number that was intended, or any.
    fn some_serial(&self) -> SerialNumber {
        let known: Vec<SerialNumber> = locked(&self.hub.oracle).intents.values().map(|known| known.serial).collect();
        let any = || SerialNumber::next(x509::serial::InstanceEpoch(7), self.hub.now(), random(self.entropy.as_ref()));
        if self.hub.dice().hits(150) {
            return any();
        }
        let picked = self.hub.dice().pick(&known).copied();
        picked.unwrap_or_else(any)
    }

    fn console_calls<C: model::contract::Call>(&self, call: &C) -> Result<Result<C::Reply, Fault>, Stuck> {
        self.mostly_want_km()?;
        let console: Arc<Link> = self.console()?;
        Ok(console.call(call))
    }

    pub(crate) fn revoke(&self) -> Result<(), Stuck> {
        const REASONS: [RevocationReason; 3] =
            [RevocationReason::KeyCompromise, RevocationReason::Superseded, RevocationReason::Unspecified];
        let serial = self.some_serial().to_string();
        let reason = self.hub.dice().pick(&REASONS).copied().unwrap_or(RevocationReason::Unspecified);
        self.console_calls(&Revoke { serial, reason }).map(|_told_to_the_oracle| ())
    }

    pub(crate) fn hold(&self) -> Result<(), Stuck> {
        let serial = self.some_serial().to_string();
        let call = Revoke { serial, reason: RevocationReason::CertificateHold };
        self.console_calls(&call).map(|_told_to_the_oracle| ())
    }

    /// Releases what is on hold, if anything is; now and then something else.
    pub(crate) fn release(&self) -> Result<(), Stuck> {
        let held: Vec<SerialNumber> = {
            let oracle = locked(&self.hub.oracle);
            let is_held = |known: &&crate::oracle::Intended| known.words.held.is_some();
            oracle.intents.values().filter(is_held).map(|known| known.serial).collect()
        };
        let held = self.hub.dice().pick(&held).copied();
        let serial = held.unwrap_or_else(|| self.some_serial()).to_string();
        self.console_calls(&Release { serial }).map(|_told_to_the_oracle| ())
    }

    pub(crate) fn list(&self) -> Result<(), Stuck> {
        let delta = self.hub.dice().hits(300);
        let call = IssueCrl { authority: name(FACTORY)?, shard: 0, delta };
        self.console_calls(&call).map(|_told_to_the_oracle| ())
    }

    pub(crate) fn status(&self) -> Result<(), Stuck> {
        let serial = self.some_serial();
        let tbs = self.template.factory.tbs();
        let ids = IssuerIds::new(&tbs.subject, &tbs.subject_public_key);
        let nonce: [u8; 32] = random(self.entropy.as_ref());
        let nonce = self.hub.dice().hits(500).then_some(nonce.as_slice());
        let request = request::write(&ids, HashAlgorithm::Sha256, &[serial], nonce);
        locked(&self.hub.oracle).questions.insert(request.clone(), (serial, nonce.map(<[u8]>::to_vec)));
        self.console_calls(&AnswerOcsp { requests: vec![request.into()] }).map(|_told_to_the_oracle| ())
    }

    /// Imports a list of so many more devices, and leaves their grants at km.
    pub(crate) fn import(&self, more: u64) -> Result<(), Stuck> {
        let listed = *locked(&self.listed);
        let serials: Vec<String> = (listed + 1..=listed + more).map(serial_of).collect();
        let line = |serial: &String| format!("{serial},{DEVICE_TYPE},unit\n");
        let text: String =
            std::iter::once("serial,type,profile\n".to_owned()).chain(serials.iter().map(line)).collect();
        let call = ImportList {
            name: format!("list-{listed}"),
            format: ListFormat::Csv,
            octets: text.into_bytes().into(),
            until: self.hub.now().plus_s(LIST_S),
            signature: None,
            replaces: None,
            dry_run: false,
        };
        let imported = self.console_calls(&call)?;
        self.hub.log(|| format!("  the list: {imported:?}"));
        if let Ok(ListImported::Done { .. }) = imported {
            *locked(&self.listed) += more;
            let mut oracle = locked(&self.hub.oracle);
            serials.into_iter().for_each(|serial| oracle.device_listed(serial));
        }
        self.console_calls(&DepositPending {}).map(|_told_to_the_oracle| ())
    }

    /// Some devices may have two certificates of another profile, for a minute or for an hour.
    pub(crate) fn allow_several(&self) -> Result<(), Stuck> {
        let (inner, now) = (self.inner()?, self.hub.now());
        for label in 1..=8 {
            let (subject, profile) = (Entity::Device(self.device(label)?), name(SEVERAL)?);
            let until = now.plus_s(if label % 2 == 0 { 60 } else { 3600 });
            let offer = GrantOffer { subject, profile, until, quota: 2 };
            inner.deposit("several", std::slice::from_ref(&offer), now).or_stuck("leaving a grant")?;
            let left = inner.grants(&[(&offer.subject, &offer.profile)]).or_stuck("reading a grant")?;
            locked(&self.hub.oracle).quotas.extend(left.into_iter().flatten().map(|grant| (grant.id, 2)));
        }
        Ok(())
    }

    /// The station may vouch for so many boards that cannot sign a request themselves.
    pub(crate) fn entitle(&self, quota: u32) -> Result<(), Stuck> {
        let (station, device_type) = (self.template.instance.clone(), name(DEVICE_TYPE)?);
        let until = self.hub.now().plus_s(LIST_S);
        let call = Entitle { station, device_type, quota, until };
        self.console_calls(&call).map(|_told_to_the_oracle| ())
    }
}

/// A request of a board for its own key; now and then the signature is that of something else.
fn evidence(hardware: &Arc<Mutex<Hardware>>) -> Result<Evidence, Stuck> {
    let key = locked(hardware).key().map_err(|fault| Stuck(fault.to_string()))?;
    request_of(key.as_ref()).map_err(|fault| Stuck(fault.to_string()))
}

impl Between for World {
    fn happen(&self, node: &Node, _: &str) {
        self.bus.unaimed(|| self.happen_beside(node));
    }
}

impl World {
    fn happen_beside(&self, node: &Node) {
        let kind = self.hub.dice().below(9);
        let done = match kind {
            0 => {
                self.bus.bring();
                Ok(())
            }
            1 => self.request(),
            2 => self.revoke(),
            3 => self.hold(),
            4 => self.release(),
            5 | 6 => self.list(),
            7 => self.status(),
            _ => {
                let others: Vec<_> =
                    PLACES.into_iter().filter(|(name, _)| name.starts_with("km") && *name != node.name).collect();
                let other = self.hub.dice().pick(&others).copied();
                if let Some(place) = other {
                    self.stop(place.0);
                    self.start(place);
                }
                Ok(())
            }
        };
        if let Err(Stuck(why)) = done {
            self.hub.log(|| format!("  it does not happen: {why}"));
        }
    }
}
