//! A device at its site gets a certificate of that site over EST, and renews it; a stranger asks over HTTP whether another is revoked.

use super::{Demo, parse};
use crate::cli::ocsp::exchange_by;
use crate::compose::Door;
use crate::config::{GatewayConfig, LabelConfig, Places};
use crate::fault::{Exit, Failure, Result};
use adapters::clock::Stopwatch;
use adapters::files;
use adapters::http::{Files, PATIENCE, Question, Shown};
use adapters::keystore::memory::MemoryKey;
use model::contract::enrolment::AllowEnrolment;
use model::mode::Order;
use model::octets::from_base64;
use model::{Entity, Mode, Module, UnixTime};
use ports::Signer;
use ports::store::AuthorityStore;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use x509::path::{Demands, Evidence, validate};
use x509::{Certificate, KeyType, Name, SerialNumber, certs_only, csr, oids};
use zeroize::Zeroizing;

/// Which board.
const SERIAL: &str = "SN2000002";
/// The name of this machine to itself.
const HERE: &str = "localhost";
/// The label, and the profile of what is had under it.
const LABEL: &str = "ldevid";
/// Longest answer, in octets.
const ANSWER_LEN_MAX: u64 = 512 * 1024;

fn failed(why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, "demo", "the device at its site was not certified").because(why)
}

/// A gateway that listens on this machine only.
pub(super) fn door() -> Result<GatewayConfig> {
    let any = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let label = LABEL.parse().map_err(failed)?;
    let est = BTreeMap::from([(label, LabelConfig::of(parse(LABEL)?))]);
    Ok(GatewayConfig {
        https: any,
        http: any,
        names: vec!["demo.internal".to_owned()],
        est,
        ..GatewayConfig::default()
    })
}

/// Has km certify the gateway for the name of this machine, too, which no real one has.
pub(super) fn name_here(places: &Places) -> Result {
    let path = places.profiles().join("gateway.toml");
    let text = std::fs::read_to_string(&path).map_err(|e| Failure::file(&path, &e))?;
    let text = text.replace("subject_alt_name = [", &format!("subject_alt_name = [{{ dns = \"{HERE}\" }}, "));
    files::publish(&path, text.as_bytes()).map_err(|e| Failure::file(&path, &e))
}

/// A certificate, those above it but for the root, and its key.
struct Identity {
    chain: Vec<Vec<u8>>,
    key: Zeroizing<Vec<u8>>,
}

/// A device that asks its site.
struct Client {
    url: String,
    /// The root that came with the device, behind what is above its certificate.
    above: Vec<Certificate>,
    now: UnixTime,
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
        let now = workshop.clock.now();
        let (row, key) = self.made(SERIAL)?;
        let (subject, profile) = (Entity::Device(row.id.clone()), parse(LABEL)?);
        let until = now.plus_s(86_400);
        let call = AllowEnrolment { subject, profile, until, secret: None, sealed: None };
        self.ask(&call, "allowing a device to enrol")?;
        let number = row.certificate.as_deref().and_then(SerialNumber::from_hex);
        let own = number.map(|number| workshop.store.certificate(&number)).transpose()?.flatten();
        let own = own.ok_or_else(|| failed("it has no certificate of the factory"))?;
        let above = crate::cli::ca::chain_of(&workshop.store, &parse("factory")?)?;
        let above = above.iter().map(|der| Certificate::decode(der)).collect::<std::result::Result<Vec<_>, _>>();
        let url = format!("https://{HERE}:{}/.well-known/est/{LABEL}", https.port());
        let client = Client { url, above: above.map_err(failed)?, now };
        let factory = Identity { chain: client.below_root(own.der), key };
        let (first, identity) = client.certify("simpleenroll", &factory, None)?;
        let (second, _) = client.certify("simplereenroll", &identity, Some(&first))?;
        Ok((first.tbs().serial_number, second.tbs().serial_number))
    }
}

impl Client {
    fn below_root(&self, leaf: Vec<u8>) -> Vec<Vec<u8>> {
        let between = self.above.split_last().map_or(&[][..], |(_root, between)| between);
        std::iter::once(leaf).chain(between.iter().map(|one| one.der().to_vec())).collect()
    }

    /// Asks for a certificate for a new key, with what there is; under the name of `renewed`. It must lead to the root.
    fn certify(
        &self,
        operation: &str,
        shown: &Identity,
        renewed: Option<&Certificate>,
    ) -> Result<(Certificate, Identity)> {
        let root = self.above.last().ok_or_else(|| failed("the factory has no root"))?;
        let shown = Shown { chain: shown.chain.clone(), key: shown.key.clone().into() };
        let files = Files::showing(&self.url, &[root.der().to_vec()], Some(&shown), PATIENCE).map_err(failed)?;
        let pkcs8 = MemoryKey::generate_pkcs8(KeyType::P256).map_err(failed)?;
        let key = MemoryKey::open(&pkcs8).map_err(failed)?;
        let tbs = renewed.map(Certificate::tbs);
        let name = tbs.map_or_else(|| Name::write(&[]), |tbs| tbs.subject.clone());
        let names = tbs.and_then(|tbs| tbs.extension(oids::SUBJECT_ALT_NAME).cloned());
        let info = csr::write_info(&name, key.public_key(), names.as_slice());
        let request = csr::write_signed(&info, key.algorithm(), &key.sign(&info).map_err(failed)?);
        let text = wire::est::write_base64(&request, wire::est::Lines::Wrapped);
        let question = Question { path: operation, fields: "", sent: Some(("application/pkcs10", text.as_bytes())) };
        let reply = files.question(&question, ANSWER_LEN_MAX).map_err(failed)?;
        let body: Vec<u8> = reply.body.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
        let der = from_base64(&body).filter(|_| reply.status == 200);
        let der =
            der.ok_or_else(|| failed(format!("HTTP {}: {}", reply.status, String::from_utf8_lossy(&reply.body))))?;
        let sent = certs_only::decode(&der).map_err(failed)?;
        let mine = sent.iter().filter_map(|der| Certificate::decode(der).ok());
        let mine = mine.into_iter().find(|one| one.tbs().subject_public_key == *key.public_key());
        let mine = mine.ok_or_else(|| failed("what came is not for its key"))?;
        let evidence = Evidence { leaf: &mine, pool: &self.above, anchors: std::slice::from_ref(root), crls: &[] };
        validate(&evidence, &Demands::default(), self.now).map_err(failed)?;
        let chain = self.below_root(mine.der().to_vec());
        Ok((mine, Identity { chain, key: pkcs8 }))
    }
}
