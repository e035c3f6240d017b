//! A gateway that listens on this machine only, and devices that ask it for certificates over EST: for the demonstration and for
//! measurements.

use crate::config::{GatewayConfig, LabelConfig, Places};
use crate::fault::{Exit, Failure, Result};
use adapters::files;
use adapters::http::{Files, PATIENCE, Question, Shown};
use adapters::keystore::memory::MemoryKey;
use model::ProfileName;
use model::octets::from_base64;
use ports::{Clock, Signer};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use x509::path::{Demands, Evidence, validate};
use x509::{Certificate, KeyType, Name, PublicKey, certs_only, csr, oids};
use zeroize::Zeroizing;

/// The name of this machine to itself.
const HERE: &str = "localhost";
/// More requests a second than any machine answers: all devices of a measurement have one address.
pub(crate) const UNBOUNDED: Option<NonZeroU32> = NonZeroU32::new(1_000_000);
/// Longest answer, in octets.
pub(crate) const ANSWER_LEN_MAX: u64 = 512 * 1024;

fn failed(why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, "site", "a device at its site was not certified").because(why)
}

/// It is not there now, or has not what it needs: whoever asks again later may be answered.
pub(crate) fn away(why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Unavailable, "unavailable", "the gateway of the site does not answer")
        .because(why)
        .next("see its log, and ask again")
}

/// A gateway for this machine, with this profile under a label of its name; it listens on these ports for HTTPS and HTTP, on any if 0.
pub(crate) fn door(profile: &ProfileName, [https, http]: [u16; 2]) -> Result<GatewayConfig> {
    let here = |port| Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let label = profile.as_str().parse().map_err(failed)?;
    let est = BTreeMap::from([(label, LabelConfig::of(profile.clone()))]);
    Ok(GatewayConfig {
        https: here(https),
        http: here(http),
        names: vec!["site.internal".to_owned()],
        est,
        ..GatewayConfig::default()
    })
}

/// Has km certify the gateway for the name of this machine, too, which no real one has.
pub(crate) fn name_here(places: &Places) -> Result {
    let path = places.profiles().join("gateway.toml");
    let text = std::fs::read_to_string(&path).map_err(|e| Failure::file(&path, &e))?;
    let text = text.replace("subject_alt_name = [", &format!("subject_alt_name = [{{ dns = \"{HERE}\" }}, "));
    files::publish(&path, text.as_bytes()).map_err(|e| Failure::file(&path, &e))
}

/// A certificate, those above it but for the root, and its key.
pub(crate) struct Identity {
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) key: Zeroizing<Vec<u8>>,
}

/// By what a device wants to be believed.
#[derive(Clone, Copy)]
pub(crate) enum Proof<'a> {
    /// A certificate that it has.
    Identity(&'a Identity),
    /// Its serial number, and the one-time secret that was made for it.
    Secret(&'a str, &'a str),
}

/// A request for a certificate for a new key. Asked again, it is the same request.
pub(crate) struct Asked {
    pkcs8: Zeroizing<Vec<u8>>,
    public_key: PublicKey,
    text: String,
}

impl Asked {
    /// One for a certificate in the place of this one, under its name; or for the first.
    pub(crate) fn new(renewed: Option<&Identity>) -> Result<Self> {
        let renewed = renewed.and_then(|one| one.chain.first());
        let renewed = renewed.map(|der| Certificate::decode(der)).transpose().map_err(failed)?;
        let pkcs8 = MemoryKey::generate_pkcs8(KeyType::P256).map_err(failed)?;
        let key = MemoryKey::open(&pkcs8).map_err(failed)?;
        let tbs = renewed.as_ref().map(Certificate::tbs);
        let name = tbs.map_or_else(|| Name::write(&[]), |tbs| tbs.subject.clone());
        let names = tbs.and_then(|tbs| tbs.extension(oids::SUBJECT_ALT_NAME).cloned());
        let info = csr::write_info(&name, key.public_key(), names.as_slice());
        let request = csr::write_signed(&info, key.algorithm(), &key.sign(&info).map_err(failed)?);
        let text = wire::est::write_base64(&request, wire::est::Lines::Wrapped);
        Ok(Self { public_key: key.public_key().clone(), pkcs8, text })
    }
}

/// What it got.
pub(crate) struct Certified {
    pub(crate) certificate: Certificate,
    pub(crate) identity: Identity,
    /// In how many seconds it is to come again, if it was told.
    pub(crate) renew_after_s: Option<u64>,
}

/// A site, as a device knows it.
pub(crate) struct Site {
    url: String,
    /// The root that came with the device, behind what is above its certificate.
    above: Vec<Certificate>,
    clock: Arc<dyn Clock>,
}

impl Site {
    /// The one behind this port, for a profile. `above` is the chain of who issues there, with its root at the end.
    pub(crate) fn new(port: u16, profile: &ProfileName, above: &[Vec<u8>], clock: Arc<dyn Clock>) -> Result<Self> {
        let above = above.iter().map(|der| Certificate::decode(der)).collect::<std::result::Result<Vec<_>, _>>();
        let url = format!("https://{HERE}:{port}/.well-known/est/{profile}");
        Ok(Self { url, above: above.map_err(failed)?, clock })
    }

    /// A certificate with those above it, but for the root.
    pub(crate) fn below_root(&self, leaf: Vec<u8>) -> Vec<Vec<u8>> {
        let between = self.above.split_last().map_or(&[][..], |(_root, between)| between);
        std::iter::once(leaf).chain(between.iter().map(|one| one.der().to_vec())).collect()
    }

    /// Asks for the first certificate.
    pub(crate) fn enrol(&self, proof: Proof<'_>, asked: &Asked) -> Result<Certified> {
        self.certify("simpleenroll", proof, asked)
    }

    /// Asks for one in the place of another.
    pub(crate) fn renew(&self, old: &Identity, asked: &Asked) -> Result<Certified> {
        self.certify("simplereenroll", Proof::Identity(old), asked)
    }

    /// Sends a request. What comes must be for its key, and lead to the root.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if nobody answers, or who answers cannot now: the same request may be sent again.
    fn certify(&self, operation: &str, proof: Proof<'_>, asked: &Asked) -> Result<Certified> {
        let root = self.above.last().ok_or_else(|| failed("the site has no root"))?;
        let (shown, fields) = match proof {
            Proof::Identity(one) => {
                (Some(Shown { chain: one.chain.clone(), key: one.key.clone().into() }), String::new())
            }
            Proof::Secret(user, secret) => {
                let said = wire::est::write_base64(format!("{user}:{secret}").as_bytes(), wire::est::Lines::One);
                (None, format!("Authorization: Basic {said}\r\n"))
            }
        };
        let files = Files::showing(&self.url, &[root.der().to_vec()], shown.as_ref(), PATIENCE).map_err(failed)?;
        let sent = Some(("application/pkcs10", asked.text.as_bytes()));
        let reply = files.question(&Question { path: operation, fields: &fields, sent }, ANSWER_LEN_MAX);
        let reply = reply.map_err(away)?;
        let body: Vec<u8> = reply.body.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
        let der = from_base64(&body).filter(|_| reply.status == 200);
        let der = der.ok_or_else(|| {
            let said = format!("HTTP {}: {}", reply.status, String::from_utf8_lossy(&reply.body));
            if reply.status >= 500 { away(said) } else { failed(said) }
        })?;
        let sent = certs_only::decode(&der).map_err(failed)?;
        let mine = sent.iter().filter_map(|der| Certificate::decode(der).ok());
        let mine = mine.into_iter().find(|one| one.tbs().subject_public_key == asked.public_key);
        let mine = mine.ok_or_else(|| failed("what came is not for its key"))?;
        let evidence = Evidence { leaf: &mine, pool: &self.above, anchors: std::slice::from_ref(root), crls: &[] };
        // By the time of the answer: a certificate that was made meanwhile may begin after the question.
        validate(&evidence, &Demands::default(), self.clock.now()).map_err(failed)?;
        let identity = Identity { chain: self.below_root(mine.der().to_vec()), key: asked.pkcs8.clone() };
        Ok(Certified { certificate: mine, identity, renew_after_s: reply.retry_after_s })
    }
}
