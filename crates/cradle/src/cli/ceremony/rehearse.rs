//! A rehearsal: the same steps by the same code, in an installation that is thrown away.

use super::around::Read;
use super::room::Room;
use super::run::Run;
use super::seal;
use crate::cli::init::{self, Settings};
use crate::compose::Installation;
use crate::config::{Config, Places};
use crate::fault::{Exit, Failure, Result};
use adapters::clock::SystemEntropy;
use adapters::files;
use adapters::store::SqlStore;
use ceremony::{Journal, Plan, Step};
use issue::Profile;
use model::contract::hierarchy::CreateAuthority;
use model::mode::Order;
use model::octets::hex;
use model::{AuthorityName, Entity, Mode, OperatorName, ProfileName};
use ports::clock::random;
use ports::store::AuthorityStore;
use ports::store::authority::{AuthorityRow, CertificateFilter};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use x509::Certificate;
use zeroize::Zeroizing;

/// A directory that is gone when this is.
pub(super) struct Throwaway(pub(super) PathBuf);

impl Throwaway {
    pub(super) fn new() -> Result<Self> {
        let name = format!("cradle-rehearsal-{}", hex(&random::<8>(&SystemEntropy::default())));
        let path = std::env::temp_dir().join(name);
        files::private_directory(&path).map_err(|e| Failure::file(&path, &e))?;
        Ok(Self(path))
    }
}

impl Drop for Throwaway {
    fn drop(&mut self) {
        let _left_for_the_system = std::fs::remove_dir_all(&self.0);
    }
}

/// What of the real installation a rehearsal looks at.
pub(super) struct Real<'a> {
    pub(super) data: &'a Path,
    pub(super) config: &'a Config,
    pub(super) store: &'a SqlStore,
}

/// Carries out a plan in `throwaway`, with outputs to `to`.
pub(super) fn rehearse(real: &Real<'_>, read: &Read, throwaway: &Throwaway, to: &Path, tell: &dyn Fn(&str)) -> Result {
    let places = Places::of(&throwaway.0.join("installation"));
    let installation = installation(real, &read.plan, &places)?;
    let stand_ins = stand_ins(real, &installation, &read.plan)?;
    let plan = &read.plan;
    let room = Room::of(&places, plan.digest());
    let journal = Journal::new(plan.digest());
    let mut run = Run { plan, inputs: &read.inputs, installation: &installation, room, to, journal, stand_ins, tell };
    run.open(Vec::new(), true)?;
    run.go()?;
    seal::write(&run)
}

/// An installation of the same name and with the same profiles, whose keys are worth nothing.
fn installation(real: &Real<'_>, plan: &Plan, places: &Places) -> Result<Installation> {
    let passphrase = Zeroizing::new(hex(&random::<32>(&SystemEntropy::default())).into_bytes());
    let Config { organization, maker_pen, name, .. } = real.config.clone();
    let operator: OperatorName = match plan.operators.first() {
        Some(operator) => operator.clone(),
        None => return Err(Failure::new(Exit::Usage, "plan", "the plan names no operators")),
    };
    let wanted = init::Plan {
        settings: Settings { organization, maker_pen, name, demo: true, store: None, bus: None, gateway: None },
        operator: operator.clone(),
        key_type: "p256".into(),
        bare: true,
        token: None,
        passphrase: Some(passphrase),
    };
    let workshop = init::make(places, &wanted)?;
    copy_profiles(&Places::of(real.data).profiles(), &places.profiles())?;
    let installation = Installation::start(workshop)?;
    installation.supervisor.order(Order::Stay(Mode::Ceremony), std::slice::from_ref(&operator), "rehearsal")?;
    Ok(installation)
}

fn copy_profiles(from: &Path, to: &Path) -> Result {
    for entry in std::fs::read_dir(from).map_err(|e| Failure::file(from, &e))? {
        let path = entry.map_err(|e| Failure::file(from, &e))?.path();
        if let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|e| e == "toml")) {
            let octets =
                files::read_bounded(&path, crate::compose::PROFILE_LEN_MAX).map_err(|e| Failure::file(&path, &e))?;
            let to = to.join(name);
            files::replace(&to, &octets).map_err(|e| Failure::file(&to, &e))?;
        }
    }
    Ok(())
}

/// Makes an authority with a throw-away key for each that the plan uses and does not make. Gives their names.
fn stand_ins(real: &Real<'_>, installation: &Installation, plan: &Plan) -> Result<BTreeSet<AuthorityName>> {
    let rows: BTreeMap<_, _> = real.store.authorities()?.into_iter().map(|row| (row.name.clone(), row)).collect();
    let profiles = crate::compose::profiles(&Places::of(real.data))?;
    let mut making = Making { real, rows, profiles, installation, made: BTreeSet::new() };
    for name in used(plan) {
        making.ensure(&name)?;
    }
    Ok(making.made)
}

/// The authorities that a plan uses.
fn used(plan: &Plan) -> BTreeSet<AuthorityName> {
    let mut used = BTreeSet::new();
    for step in &plan.steps {
        match step {
            Step::Create(making) | Step::Request(making) => used.extend(making.issuer.clone()),
            Step::Rollover(making) => {
                used.extend([Some(making.name.clone()), making.issuer.clone()].into_iter().flatten())
            }
            Step::Sign { issuer, .. } => drop(used.insert(issuer.clone())),
            Step::Import { issuer, .. } => used.extend(issuer.clone()),
            Step::Install { name, .. } | Step::Limit { name, .. } => drop(used.insert(name.clone())),
            Step::Crl { authority, .. } => drop(used.insert(authority.clone())),
        }
    }
    used
}

struct Making<'a> {
    real: &'a Real<'a>,
    rows: BTreeMap<AuthorityName, AuthorityRow>,
    profiles: BTreeMap<ProfileName, Arc<Profile>>,
    installation: &'a Installation,
    made: BTreeSet<AuthorityName>,
}

impl Making<'_> {
    /// Makes the stand-in of an authority of the real installation, below one of its issuer. The number of authorities
    /// bounds the depth: each is made once.
    fn ensure(&mut self, name: &AuthorityName) -> Result {
        let Some(row) = self.rows.get(name).cloned() else { return Ok(()) };
        if !self.made.insert(name.clone()) {
            return Ok(());
        }
        let issuer = row.issuer.clone().filter(|issuer| issuer != name);
        issuer.as_ref().map_or(Ok(()), |issuer| self.ensure(issuer))?;
        let certificate = Certificate::decode(&row.certificate).ok();
        let (profile, issuer) = self.profile(name, issuer, certificate.as_ref())?;
        let key_type = certificate.as_ref().map(|c| c.tbs().subject_public_key.key_type());
        let key_type = key_type.filter(|key_type| profile.key_types().contains(key_type));
        let key_type = key_type.or_else(|| profile.key_types().first().copied()).map(|k| k.to_string());
        let call = CreateAuthority {
            name: name.clone(),
            profile: profile.name().clone(),
            issuer,
            key_type: key_type.unwrap_or_default(),
            key: None,
        };
        self.installation.ask(&call, &format!("standing in for the authority {name}"))?;
        Ok(())
    }

    /// The profile under which it was certified. If that was elsewhere, one that makes what comes nearest to it; a root's,
    /// if no profile lets its issuer sign here.
    fn profile(
        &self,
        name: &AuthorityName,
        issuer: Option<AuthorityName>,
        certificate: Option<&Certificate>,
    ) -> Result<(Arc<Profile>, Option<AuthorityName>)> {
        let subject = Some(Entity::Authority(name.clone()));
        let filter = CertificateFilter { subject, limit: 1000, ..CertificateFilter::default() };
        let recorded = self.real.store.certificates(&filter)?.into_iter().rev();
        let mut recorded = recorded.filter_map(|row| self.profiles.get(&row.profile));
        let path_len = certificate.and_then(Certificate::basic_constraints).and_then(|c| c.path_len);
        let fits = |profile: &&Arc<Profile>| {
            let issuers = profile.issuers();
            profile.is_authority() && issuer.as_ref().map_or(issuers.is_empty(), |issuer| issuers.contains(issuer))
        };
        let nearest = || {
            let same = |p: &&Arc<Profile>| fits(p) && p.basic_constraints().is_some_and(|c| c.path_len == path_len);
            self.profiles.values().find(same).or_else(|| self.profiles.values().find(fits))
        };
        let root = || self.profiles.values().find(|profile| profile.is_authority() && profile.issuers().is_empty());
        if let Some(found) = recorded.find(fits).or_else(nearest) {
            return Ok((Arc::clone(found), issuer));
        }
        root().map(|found| (Arc::clone(found), None)).ok_or_else(|| {
            Failure::new(Exit::NotFound, "profile", format!("nothing can stand in for the authority {name}"))
                .because("there is no profile for such an authority")
                .next("see `cradle profile list`")
        })
    }
}
