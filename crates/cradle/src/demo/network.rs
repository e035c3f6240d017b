//! A device at its site gets a certificate of that site over EST, and renews it; a stranger asks over HTTP whether another is revoked.

use super::{Demo, parse};
use crate::cli::ocsp::exchange_by;
use crate::compose::Door;
use crate::fault::{Exit, Failure, Result};
use crate::site::{ANSWER_LEN_MAX, Asked, Identity, Proof, Site, away};
use adapters::clock::Stopwatch;
use adapters::http::{Files, PATIENCE, Question};
use model::contract::enrolment::AllowEnrolment;
use model::mode::Order;
use model::{Entity, Mode, Module};
use ports::store::AuthorityStore;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use x509::SerialNumber;

/// Which board.
const SERIAL: &str = "SN2000002";
/// The profile of what is had at the site.
pub(super) const PROFILE: &str = "ldevid";

fn failed(why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, "demo", "the device at its site was not certified").because(why)
}

/// The gateway, as it listens.
struct Listening {
    https: SocketAddr,
    http: SocketAddr,
    // Open as long as this is there; where modules run apart, another process has it.
    _door: Option<Door>,
}

impl Demo {
    /// Gives the certificates of the device, and what the stranger was told.
    pub(super) fn network(&mut self, stolen: &str) -> Result<Value> {
        let watch = Stopwatch::start();
        self.order(Order::Stay(Mode::CertificateManagement))?;
        let gateway = self.listening()?;
        let (first, second) = self.enrolled(gateway.https)?;
        let told = self.told(gateway.http, stolen)?;
        drop(gateway);
        self.order(Order::Provision)?;
        self.step("network", watch, &format!("{SERIAL} enrols over EST with the factory's certificate, and renews"))?;
        self.more(&format!("a stranger asks over OCSP after the stolen one: {told}"));
        Ok(json!({ "enrolled": first.to_string(), "renewed": second.to_string(), "ocsp": told }))
    }

    /// The gateway of this process; or that of its own, which listens where the settings say.
    fn listening(&self) -> Result<Listening> {
        let workshop = &self.installation.workshop;
        let (door, addresses) = if self.servers.is_some() {
            (None, workshop.config.gateway.as_ref().map(|gateway| [gateway.https, gateway.http]).unwrap_or_default())
        } else {
            let link = self.installation.supervisor.link(Module::Gateway)?;
            let mut door = Door::new(workshop, &link)?;
            door.open_now()?;
            let addresses = door.addresses();
            (Some(door), addresses)
        };
        let [Some(https), Some(http)] = addresses else { return Err(failed("the gateway does not listen")) };
        Ok(Listening { https, http, _door: door })
    }

    /// What a stranger is told of a certificate.
    fn told(&self, http: SocketAddr, serial: &str) -> Result<&'static str> {
        let files = Files::below(&format!("http://{http}"), &[], PATIENCE).map_err(failed)?;
        let number = SerialNumber::from_hex(serial).ok_or_else(|| failed("the stolen one has no serial number"))?;
        let told = self.patiently(|| {
            exchange_by(&self.installation, number, false, |request| {
                let question =
                    Question { path: "ocsp", fields: "", sent: Some(("application/ocsp-request", &request)) };
                let reply = files.question(&question, ANSWER_LEN_MAX).map_err(away)?;
                if reply.status == 200 { Ok(reply.body) } else { Err(away(format!("HTTP {}", reply.status))) }
            })
        })?;
        Ok(told.said.status)
    }

    /// The first certificate of the site for the one of the factory, and the next one for the first.
    fn enrolled(&self, https: SocketAddr) -> Result<(SerialNumber, SerialNumber)> {
        let workshop = &self.installation.workshop;
        let (row, key) = self.made(SERIAL)?;
        let (subject, profile) = (Entity::Device(row.id.clone()), parse(PROFILE)?);
        let until = workshop.clock.now().plus_s(86_400);
        let call = AllowEnrolment { subject, profile, until, secret: None, sealed: None };
        self.ask(&call, "allowing a device to enrol")?;
        let number = row.certificate.as_deref().and_then(SerialNumber::from_hex);
        let own =
            self.patiently(|| Ok(number.map(|number| workshop.store.certificate(&number)).transpose()?.flatten()))?;
        let own = own.ok_or_else(|| failed("it has no certificate of the factory"))?;
        let factory = parse("factory")?;
        let above = self.patiently(|| crate::cli::ca::chain_of(&workshop.store, &factory))?;
        let site = Site::new(https.port(), &call.profile, &above, Arc::clone(&workshop.clock))?;
        let factory = Identity { chain: site.below_root(own.der), key };
        let asked = Asked::new(None)?;
        let first = self.patiently(|| site.enrol(Proof::Identity(&factory), &asked))?;
        let asked = Asked::new(Some(&first.identity))?;
        let second = self.patiently(|| site.renew(&first.identity, &asked))?;
        Ok((first.certificate.tbs().serial_number, second.certificate.tbs().serial_number))
    }
}
