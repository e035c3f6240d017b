//! A device at its site gets a certificate of that site over EST, and renews it; a stranger asks over HTTP whether another is revoked.

use super::{Demo, parse};
use crate::cli::ocsp::exchange_by;
use crate::compose::Door;
use crate::fault::{Exit, Failure, Result};
use crate::site::{ANSWER_LEN_MAX, Asked, Identity, Proof, Site};
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

impl Demo {
    /// Gives the certificates of the device, and what the stranger was told. Where modules run apart nothing is done.
    pub(super) fn network(&mut self, stolen: &str) -> Result<Value> {
        if self.servers.is_some() {
            return Ok(Value::Null);
        }
        let watch = Stopwatch::start();
        self.order(Order::Stay(Mode::CertificateManagement))?;
        let link = self.installation.supervisor.link(Module::Gateway)?;
        let mut door = Door::new(&self.installation.workshop, &link)?;
        door.open_now()?;
        let [Some(https), Some(http)] = door.addresses() else { return Err(failed("the gateway does not listen")) };
        let (first, second) = self.enrolled(https)?;
        let http = format!("http://{http}");
        let files = Files::below(&http, &[], PATIENCE).map_err(failed)?;
        let number = SerialNumber::from_hex(stolen).ok_or_else(|| failed("the stolen one has no serial number"))?;
        let told = exchange_by(&self.installation, number, false, |request| {
            let question = Question { path: "ocsp", fields: "", sent: Some(("application/ocsp-request", &request)) };
            files.question(&question, ANSWER_LEN_MAX).map(|reply| reply.body).map_err(failed)
        })?;
        drop(door);
        self.order(Order::Provision)?;
        self.step("network", watch, &format!("{SERIAL} enrols over EST with the factory's certificate, and renews"))?;
        self.more(&format!("a stranger asks over OCSP after the stolen one: {}", told.said.status));
        Ok(json!({ "enrolled": first.to_string(), "renewed": second.to_string(), "ocsp": told.said.status }))
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
        let own = number.map(|number| workshop.store.certificate(&number)).transpose()?.flatten();
        let own = own.ok_or_else(|| failed("it has no certificate of the factory"))?;
        let above = crate::cli::ca::chain_of(&workshop.store, &parse("factory")?)?;
        let site = Site::new(https.port(), &call.profile, &above, Arc::clone(&workshop.clock))?;
        let factory = Identity { chain: site.below_root(own.der), key };
        let first = site.enrol(Proof::Identity(&factory), &Asked::new(None)?)?;
        let second = site.renew(&first.identity, &Asked::new(Some(&first.identity))?)?;
        Ok((first.certificate.tbs().serial_number, second.certificate.tbs().serial_number))
    }
}
