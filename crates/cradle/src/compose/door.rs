//! The gateway's sockets: opened while the mode lets both the gateway and km run, and gone otherwise.

use super::Workshop;
use crate::config::{CmpConfig, GatewayConfig};
use crate::fault::{Exit, Failure, Result, While};
use adapters::clock::Stopwatch;
use adapters::files;
use adapters::http::serve::Service;
use adapters::keystore::FileKeystore;
use adapters::looking::FromHere;
use authority::CmpLabel;
use gateway::{
    Acme, Certified, Cmp, Est, Gateway, Km, OverTheBus, Scep, Setting, Status, Tls, WithAcme, WithCmp, WithScep,
    certified,
};
use model::Module;
use ports::{Clock, Entropy, Link};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use x509::{Certificate, pem};
use zeroize::Zeroizing;

/// Longest file of a certificate or key.
const LEN_MAX: u64 = 256 * 1024;
/// After how many looks it is tried again to open what could not be opened.
const TRY_AGAIN: u32 = 40;

/// The gateway of a box, open or not.
pub(crate) struct Door {
    config: GatewayConfig,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    keystore: Arc<FileKeystore>,
    link: Arc<Link>,
    open: Option<Gateway>,
    wait: u32,
}

impl Door {
    /// A door that is closed.
    pub(crate) fn new(workshop: &Workshop, link: &Arc<Link>) -> Result<Self> {
        let config = workshop.config.gateway.clone().ok_or_else(no_gateway)?;
        let (clock, entropy) = (Arc::clone(&workshop.clock), Arc::clone(&workshop.entropy));
        let (keystore, link) = (Arc::clone(&workshop.keystore), Arc::clone(link));
        Ok(Self { config, clock, entropy, keystore, link, open: None, wait: 0 })
    }

    /// Where it listens: for EST, and for status.
    pub(crate) fn addresses(&self) -> [Option<SocketAddr>; 2] {
        [self.open.as_ref().and_then(Gateway::https), self.open.as_ref().and_then(Gateway::http)]
    }

    /// Opens it, or closes it, as the lease says; opens it anew with another certificate when that is due.
    pub(crate) fn look(&mut self) {
        let now = self.link.now();
        let held = self.link.gate().open(now);
        let may =
            held.is_ok_and(|held| held.binding.permits(Module::Gateway) && held.binding.permits(Module::Authority));
        if !may {
            self.open = None;
            return;
        }
        self.wait = self.wait.saturating_sub(1);
        let is_due = self.open.as_ref().is_none_or(|open| open.is_due(self.clock.now()));
        if is_due
            && self.wait == 0
            && let Err(failure) = self.open_now()
        {
            self.wait = TRY_AGAIN;
            let Failure { code, what, why, next, .. } = &failure;
            tracing::warn!(code, %what, %why, %next, "the gateway does not listen");
        }
    }

    /// Opens it.
    pub(crate) fn open_now(&mut self) -> Result {
        let km: Arc<dyn Km> = Arc::new(OverTheBus(Arc::clone(&self.link)));
        let config = &self.config;
        let scep = self.scep(&km);
        let https = match config.https {
            None => None,
            Some(address) => {
                let styles = config.est.iter().map(|(label, config)| (label.clone(), config.style()));
                let est = Est { km: Arc::clone(&km), styles: styles.collect(), default: config.label.clone() };
                Some((
                    address,
                    self.tls(km.as_ref())?,
                    self.with_acme(&km, with_scep(scep.as_ref(), self.with_cmp(&km, Arc::new(est)))),
                ))
            }
        };
        let http = config.http.map(|address| {
            let watch = Stopwatch::start();
            let status = Status::new(Arc::clone(&km), Arc::clone(&self.clock), Box::new(move || watch.ms()));
            (address, with_scep(scep.as_ref(), self.with_cmp(&km, Arc::new(status))))
        });
        // The sockets of the one before are closed first: both have the same addresses.
        self.open = None;
        let open = Gateway::open(Setting { https, http, requests_per_s: config.requests_per_s }).map_err(|fault| {
            Failure::new(Exit::Unavailable, "listen", "the gateway does not listen")
                .because(fault)
                .next("correct [gateway] in cradle.toml, or see who listens there with `ss -ltnp`")
        })?;
        tracing::info!(https = ?open.https(), http = ?open.http(), "the gateway listens");
        self.open = Some(open);
        Ok(())
    }

    /// ACME beside a service, if the settings say that it is answered.
    fn with_acme(&self, km: &Arc<dyn Km>, other: Arc<dyn Service>) -> Arc<dyn Service> {
        if self.config.acme.is_empty() {
            return other;
        }
        let looker = FromHere::new(self.config.validation.looking(), Arc::clone(&self.entropy));
        Arc::new(WithAcme { acme: Acme::new(Arc::clone(km), Arc::new(looker)), other })
    }

    /// CMP beside a service, if the settings say that it is answered.
    fn with_cmp(&self, km: &Arc<dyn Km>, other: Arc<dyn Service>) -> Arc<dyn Service> {
        if self.config.cmp.is_empty() {
            return other;
        }
        Arc::new(WithCmp { cmp: Cmp { km: Arc::clone(km) }, other })
    }

    /// SCEP, if the settings say that it is answered: the same at both addresses, for a client may ask at one and go on at the other.
    fn scep(&self, km: &Arc<dyn Km>) -> Option<Arc<Scep>> {
        let labels: Vec<_> = self.config.scep.keys().cloned().collect();
        let (clock, entropy, keystore) =
            (Arc::clone(&self.clock), Arc::clone(&self.entropy), Arc::clone(&self.keystore));
        (!labels.is_empty()).then(|| Arc::new(Scep::new(Arc::clone(km), clock, entropy, keystore, labels)))
    }

    fn tls(&self, km: &dyn Km) -> Result<Tls> {
        let oldest = self.config.tls.into();
        match (&self.config.tls_certificate, &self.config.tls_key) {
            (Some(certificate), Some(key)) => {
                let (chain, key) = from_files(certificate, key, "gateway")?;
                Ok(Tls { chain, key, due: None, oldest })
            }
            _ => {
                let Certified { chain, key, due } =
                    certified(km, &self.config.names).or_fail("certifying the gateway for TLS")?;
                Ok(Tls { chain, key, due: Some(due), oldest })
            }
        }
    }
}

/// SCEP beside a service, if it is answered.
fn with_scep(scep: Option<&Arc<Scep>>, other: Arc<dyn Service>) -> Arc<dyn Service> {
    match scep {
        None => other,
        Some(scep) => Arc::new(WithScep { scep: Arc::clone(scep), other }),
    }
}

fn no_gateway() -> Failure {
    Failure::new(Exit::Usage, "no-gateway", "this box has no gateway")
        .because("cradle.toml has no section [gateway]")
        .next("write one: docs/gateway.md has the form")
}

/// The certificates in a file that a label of ACME names.
pub(super) fn roots(path: &Path) -> Result<Vec<Certificate>> {
    certificates(path, "attestation_roots")
}

/// What is had under a label of CMP, with the certificates of its registration authorities.
pub(super) fn cmp_label(config: &CmpConfig) -> Result<CmpLabel> {
    let appointed = config.registration_authorities.iter().map(|(name, path)| {
        match <[Certificate; 1]>::try_from(certificates(path, "registration_authorities")?) {
            Ok([one]) => Ok((name.clone(), one)),
            Err(_) => Err(unusable(path, "it holds more than one certificate: which one is meant is not said")
                .next("keep the certificate of the registration authority itself, without those above it")),
        }
    });
    Ok(config.label(appointed.collect::<Result<_>>()?))
}

fn unusable(path: &Path, why: &str) -> Failure {
    Failure::new(Exit::Usage, "config", format!("{} cannot be used", path.display())).because(why)
}

fn certificates(path: &Path, setting: &str) -> Result<Vec<Certificate>> {
    let octets = files::read_bounded(path, LEN_MAX).map_err(|e| Failure::file(path, &e))?;
    let blocks = pem::blocks(&octets).unwrap_or_default();
    let roots: Vec<_> = blocks.iter().filter_map(|der| Certificate::decode(der).ok()).collect();
    if roots.is_empty() || roots.len() != blocks.len() {
        let failure = unusable(path, "it holds no certificate in PEM, or something else, too");
        return Err(failure.next(format!("correct {setting} in cradle.toml, or the file")));
    }
    Ok(roots)
}

/// A certificate and those above it, in DER; and its key, as PKCS #8.
type Pair = (Vec<Vec<u8>>, Zeroizing<Vec<u8>>);

/// A certificate and those above it, and its key, of the files that a section of the settings names.
pub(super) fn from_files(certificate: &Path, key: &Path, section: &str) -> Result<Pair> {
    let unusable = |path: &Path, why: &str| {
        Failure::new(Exit::Usage, "config", format!("{} cannot be used", path.display()))
            .because(why)
            .next(format!("correct [{section}] in cradle.toml, or the file"))
    };
    let read = |path: &Path| files::read_bounded(path, LEN_MAX).map_err(|e| Failure::file(path, &e));
    let chain =
        pem::blocks(&read(certificate)?).ok_or_else(|| unusable(certificate, "it holds no certificate in PEM"))?;
    if files::open_to_others(key).map_err(|e| Failure::file(key, &e))? {
        return Err(unusable(key, "others can read it"));
    }
    let octets = Zeroizing::new(read(key)?);
    let der = pem::decode(&octets).filter(|(label, _)| label == "PRIVATE KEY").map(|(_, der)| Zeroizing::new(der));
    Ok((chain, der.ok_or_else(|| unusable(key, "it is no key as PKCS #8 in PEM"))?))
}
