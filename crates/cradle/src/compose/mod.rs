//! The one place that names concrete adapters: puts an installation together from its data directory.

mod door;
pub(crate) mod followed;
mod following;
mod images;
mod installation;
mod passphrase;
mod put_back;

pub(crate) use door::Door;
pub(crate) use following::{Following, NoticeDoor};
pub(crate) use installation::{Assembly, Installation, supervise};
pub(crate) use passphrase::{new_passphrase, passphrase};
use put_back::log_mark;

use crate::config::{AcmeConfig, Config, Places};
use crate::fault::{Exit, Failure, Result, exit_of};
use adapters::bus::nats::OpenFault as BusOpenFault;
use adapters::clock::{SystemClock, SystemEntropy};
use adapters::cmp::{CmpLines, SecretKey, TIMEOUT};
use adapters::files;
use adapters::keystore::{FileKeystore, Keystores, MemoryKeyMaker, SplitKeystore};
use adapters::store::room::Reserve;
use adapters::store::sql::{OpenFault, Opening, Server};
use adapters::store::{SqlStore, marks};
use authority::{Abroad, Acme, Cmp, Scep, Setting as AuthoritySetting};
use issue::Profile;
use issue::profile::SubjectKind;
use model::mode::Binding;
use model::{AuthorityName, Entity, EstLabel, Module, OperatorName, ProfileName, Reason, UnixTime};
use ports::directory::Directory;
use ports::keystore::KeyUri;
use ports::store::AuthorityStore;
use ports::{Clock, Entropy, Keystore, Signer};
use software::Software;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wire::cmp::MESSAGE_LEN_MAX;
use x509::{Certificate, PublicKey};
use zeroize::Zeroizing;

/// The authority that certifies modules and operators.
pub(crate) const MODULE_AUTHORITY: &str = "modules";
/// The key that signs checkpoints of the audit log.
pub(crate) const AUDIT_KEY: &str = "audit";
/// Longest profile file that is read, in octets; [`Profile::read`] has its own limit.
pub(crate) const PROFILE_LEN_MAX: u64 = 1024 * 1024;

/// Whose process opens an installation. At a server each has a name of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A command.
    Console,
    /// What keeps the mode of a box whose modules run in processes of their own.
    Supervisor,
    /// One of the processes of a module.
    Module(Module, usize),
}

/// Commands that write at the same time, where the records are at a server and modules apart.
const CONSOLES_MAX: usize = 16;

impl Role {
    /// The names that a process of this role may have at a server, the first that is free.
    fn names(self, config: &Config) -> Vec<String> {
        let name = &config.name;
        if config.bus.is_none() {
            return vec![name.to_string()];
        }
        match self {
            Self::Console => (1..=CONSOLES_MAX).map(|n| format!("{name}.console-{n}")).collect(),
            Self::Supervisor => vec![format!("{name}.supervisor")],
            Self::Module(module, n) => vec![format!("{name}.{module}-{n}")],
        }
    }
}

/// What every command that writes needs: records, keys, time, randomness.
#[derive(Clone)]
pub(crate) struct Workshop {
    pub(crate) places: Places,
    pub(crate) config: Config,
    pub(crate) store: Arc<SqlStore>,
    pub(crate) keystore: Arc<FileKeystore>,
    /// The keys of authorities: in files, divided or not, and in tokens.
    pub(crate) keys: Arc<dyn Keystore>,
    /// The divided ones of them, and the shares that were given.
    pub(crate) split: Arc<SplitKeystore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
}

/// The label of a module's key.
pub(crate) fn module_label(module: Module) -> String {
    format!("module.{module}")
}
/// The label of the key with which a module reads the vault.
pub(crate) fn vault_label(module: Module) -> String {
    format!("vault.{module}")
}
/// The label of an operator's key.
pub(crate) fn operator_label(operator: &OperatorName) -> String {
    format!("operator.{operator}")
}
pub(crate) fn uri(label: &str) -> KeyUri {
    KeyUri(format!("{}{label}", adapters::keystore::file::SCHEME))
}

/// The name of the audit log, which stands in its checkpoints.
pub(crate) fn log_name(config: &Config) -> String {
    format!("cradle/{}/{}", config.maker_pen, config.log())
}

/// Before the first secret is read. Where it cannot be done, `cradle doctor` says what to do; nobody is stopped.
fn lock_memory() {
    let locked = adapters::memory::lock();
    tracing::debug!(locked = locked == adapters::memory::Locked::All, "memory of keys");
}

/// Opens the keystore of an installation.
pub(crate) fn keystore(places: &Places, passphrase: Zeroizing<Vec<u8>>) -> Arc<FileKeystore> {
    lock_memory();
    Arc::new(FileKeystore::new(places.keys(), passphrase, Arc::new(SystemEntropy::default())))
}

impl Workshop {
    /// Opens the records and keys of an installation, for this process alone. Not under a clock that is far ahead of
    /// what was recorded last.
    pub(crate) fn open(data: &Path, passphrase_file: Option<&Path>) -> Result<Self> {
        crate::clock::check(data, SystemClock.now())?;
        Self::open_at_any_time(data, passphrase_file)
    }

    /// The same, whatever the clock says: for who looks after the clock.
    pub(crate) fn open_at_any_time(data: &Path, passphrase_file: Option<&Path>) -> Result<Self> {
        // What is no installation needs no passphrase.
        Config::read(data)?;
        Self::open_as(Role::Console, data, passphrase(&Places::of(data), passphrase_file)?)
    }

    /// The same for a process of another role, with a passphrase that was read.
    pub(crate) fn open_as(role: Role, data: &Path, passphrase: Zeroizing<Vec<u8>>) -> Result<Self> {
        let places = Places::of(data);
        let config = Config::read(data)?;
        let keystore = keystore(&places, passphrase);
        let marks = places.marks(&config);
        let there = marks::are_there(&marks, &marks::name_of(&log_name(&config), &audit_key(&places)?));
        let workshop = Self::assemble(places, config, keystore, (role, marks), SqlStore::open)?;
        if !there && workshop.config.bus.is_none() {
            // They were made anew just now; what went before can be restored by two operators only, and somebody should know.
            workshop.store.note_lost_marks(workshop.store.audit_len()?, workshop.believed_now()?)?;
        }
        Ok(workshop)
    }

    /// What the clock says; or the latest moment that is known, if the clock is so far ahead that nobody believes it yet.
    pub(crate) fn believed_now(&self) -> Result<UnixTime> {
        let (now, latest) = (self.clock.now(), self.store.totals()?.latest);
        Ok(if crate::clock::is_ahead(now, latest) { latest } else { now })
    }

    /// Opens what is being restored, whose marks are not beside it yet.
    pub(crate) fn open_restored(data: &Path, keystore: Arc<FileKeystore>, marks: PathBuf) -> Result<Self> {
        Self::assemble(Places::of(data), Config::read(data)?, keystore, (Role::Console, marks), SqlStore::open)
    }

    /// Opens the records that a box shares which has joined, and whose settings are not written yet.
    pub(crate) fn open_joined(places: &Places, config: &Config, keystore: Arc<FileKeystore>) -> Result<Self> {
        let marks = places.marks(config);
        Self::assemble(places.clone(), config.clone(), keystore, (Role::Console, marks), SqlStore::open)
    }

    /// Makes the records of a new installation, with keys that are open already.
    pub(crate) fn make(places: Places, config: Config, keystore: Arc<FileKeystore>) -> Result<Self> {
        let marks = places.marks(&config);
        Self::assemble(places, config, keystore, (Role::Console, marks), SqlStore::make)
    }

    /// The server that has the records, if they are not in a file.
    fn server(config: &Config, process: &str) -> std::result::Result<Option<Server>, OpenFault> {
        config.store.as_ref().map(|store| store.server(process)).transpose()
    }

    fn assemble(
        places: Places,
        config: Config,
        keystore: Arc<FileKeystore>,
        (role, marks): (Role, PathBuf),
        open: impl Fn(&Path, &Opening) -> std::result::Result<SqlStore, OpenFault>,
    ) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::default());
        let mut opening = Opening {
            log_name: log_name(&config),
            audit_key: checked_audit_key(&places, &keystore)?,
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
            marks: None,
            reserve: Reserve::default(),
            server: None,
        };
        let log_mark = log_mark(&places, &config)?;
        let mut opened = Err(OpenFault::InUse);
        for process in role.names(&config) {
            // Processes that write at the same time have a journal each.
            opening.marks = Some(if config.bus.is_some() { marks.join(&process) } else { marks.clone() });
            let server = Self::server(&config, &process)?;
            opening.server = server.map(|server| Server { log_mark: Some(log_mark.clone()), ..server });
            opened = open(places.data(), &opening);
            if !matches!(opened, Err(OpenFault::InUse)) {
                break;
            }
        }
        let store = Arc::new(opened?);
        let tokens = config.token.clone().into();
        let split = Arc::new(SplitKeystore::new(places.keys(), Arc::clone(&entropy)));
        let keys = Keystores::new(Arc::clone(&keystore), tokens, Arc::clone(&entropy)).with_split(Arc::clone(&split));
        Ok(Self { places, config, store, keystore, keys: Arc::new(keys), split, clock, entropy })
    }

    /// With what a box opens the records that it keeps for itself. They have a log of their own.
    pub(crate) fn box_opening(&self) -> Result<Opening> {
        Ok(Opening {
            // Of this box alone, whoever's name the shared log has.
            log_name: format!("cradle/{}/{}/box", self.config.maker_pen, self.config.name),
            audit_key: checked_audit_key(&self.places, &self.keystore)?,
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            marks: None,
            reserve: Reserve::default(),
            server: None,
        })
    }

    /// Makes the records that a box keeps for itself; the others, unless they are shared with other boxes.
    pub(crate) fn make_box_records(&self) -> Result<Arc<SqlStore>> {
        if self.config.bus.is_none() {
            return Ok(Arc::clone(&self.store));
        }
        let directory = self.places.box_records();
        files::private_directory(&directory).map_err(|e| Failure::file(&directory, &e))?;
        Ok(Arc::new(SqlStore::make(&directory, &self.box_opening()?)?))
    }

    /// The certificate of an authority of this installation.
    pub(crate) fn certificate_of(&self, authority: &AuthorityName) -> Result<Vec<u8>> {
        authority_certificate(&self.store, authority)
    }

    /// Makes the key of the audit log.
    pub(crate) fn make_audit_key(keystore: &FileKeystore) -> Result {
        keystore.generate(AUDIT_KEY, x509::KeyType::Ed25519)?;
        Ok(())
    }

    /// What km is made of.
    pub(crate) fn authority_setting(&self) -> Result<AuthoritySetting> {
        Ok(AuthoritySetting {
            store: self.store.clone(),
            keystore: Arc::clone(&self.keys),
            clock: Arc::clone(&self.clock),
            pause: Arc::new(SystemClock),
            entropy: Arc::clone(&self.entropy),
            profiles: profiles(&self.places)?,
            organization: self.config.organization.clone(),
            limits: self.config.limits.into(),
            est: self.config.est(),
        })
    }

    /// What it takes to answer CMP, if the settings say that it is answered.
    pub(crate) fn cmp(&self) -> Result<Option<Cmp>> {
        let Some(gateway) = self.config.gateway.as_ref().filter(|gateway| !gateway.cmp.is_empty()) else {
            return Ok(None);
        };
        let labels = gateway.cmp.iter().map(|(label, config)| Ok((label.clone(), door::cmp_label(config)?)));
        Ok(Some(Cmp {
            labels: labels.collect::<Result<_>>()?,
            default: gateway.label.clone(),
            store: self.store.clone(),
            secrets: Arc::new(SecretKey::new(Arc::clone(&self.keystore), Arc::clone(&self.entropy))),
            keys: Arc::new(MemoryKeyMaker),
        }))
    }

    /// What km needs to answer ACME, if the settings say that it does.
    pub(crate) fn acme(&self) -> Result<Option<Acme>> {
        let Some(gateway) = self.config.gateway.as_ref().filter(|gateway| !gateway.acme.is_empty()) else {
            return Ok(None);
        };
        let label = |(label, config): (&EstLabel, &AcmeConfig)| {
            let vouchers = config.attestation_roots.as_deref().map(door::roots).transpose()?.unwrap_or_default();
            Ok((label.clone(), config.label(vouchers)))
        };
        Ok(Some(Acme {
            labels: gateway.acme.iter().map(label).collect::<Result<_>>()?,
            store: self.store.clone(),
            sealed: self.store.clone(),
            secrets: Arc::new(SecretKey::new(Arc::clone(&self.keystore), Arc::clone(&self.entropy))),
        }))
    }

    /// What it takes to answer SCEP, if the settings say that it is answered.
    pub(crate) fn scep(&self) -> Option<Scep> {
        let gateway = self.config.gateway.as_ref().filter(|gateway| !gateway.scep.is_empty())?;
        let labels = gateway.scep.iter().map(|(label, config)| (label.clone(), config.profile.clone()));
        Some(Scep {
            labels: labels.collect(),
            store: self.store.clone(),
            secrets: Arc::new(SecretKey::new(Arc::clone(&self.keystore), Arc::clone(&self.entropy))),
        })
    }

    /// What it takes to have certificates made by foreign authorities.
    pub(crate) fn abroad(&self) -> Abroad {
        let lines = CmpLines::new(Arc::clone(&self.keystore), TIMEOUT, MESSAGE_LEN_MAX);
        Abroad { store: self.store.clone(), lines: Arc::new(lines) }
    }

    /// sm, on what is stored.
    pub(crate) fn software(&self) -> Result<Software> {
        let software = Software::new(software::Parts {
            store: self.store.clone(),
            vault: self.vault(Module::Software)?,
            sources: following::sources(self.config.software.as_ref())?,
            primary: followed::primary(&self.places, &self.config)?,
            signer: self.key(&module_label(Module::Software))?,
            clock: Arc::clone(&self.clock),
        });
        Ok(match &self.config.software {
            Some(config) => software.by_itself(following::setting(self, config)?),
            None => software,
        })
    }

    /// The key of a module or operator.
    pub(crate) fn key(&self, label: &str) -> Result<Arc<dyn Signer>> {
        Ok(self.keystore.open(&uri(label))?)
    }

    /// Who orders: the one who is named, or else the only operator there is.
    pub(crate) fn operator(&self, named: Option<&OperatorName>) -> Result<OperatorName> {
        let rows = self.store.holders(&module_authority()?)?;
        // One who was certified again is the same one.
        let operators: BTreeSet<_> = rows.into_iter().filter_map(|row| row.subject.operator().cloned()).collect();
        let operators: Vec<_> = operators.into_iter().collect();
        match (named, operators.as_slice()) {
            (Some(named), certified) if certified.contains(named) => Ok(named.clone()),
            (Some(named), _) => {
                let what = format!("{named} is no operator of this installation");
                Err(Failure::new(Exit::NotAuthorised, "operator", what)
                    .because("no operator's certificate that is valid names them")
                    .next("see `cradle cert list`"))
            }
            (None, [only]) => Ok(only.clone()),
            (None, several) => {
                let names: Vec<_> = several.iter().map(ToString::to_string).collect();
                Err(Failure::new(Exit::Usage, "operator", "nobody is named who orders this")
                    .because(format!("{} operators are certified: {}", several.len(), names.join(", ")))
                    .next("name one with --operator or CRADLE_OPERATOR"))
            }
        }
    }

    /// The module authority's certificate, and who is who by its word.
    pub(crate) fn directory(&self) -> Result<Directory> {
        self.directory_at(self.clock.now())
    }

    /// Who was who at a moment; who is revoked by now was nobody.
    pub(crate) fn directory_at(&self, at: UnixTime) -> Result<Directory> {
        directory(&self.store, at)
    }
}

/// What is wrong with the broker, as people are told.
pub(crate) fn bus_failure(fault: &BusOpenFault) -> Failure {
    Failure::new(Exit::Unavailable, "bus", "the bus cannot be used").because(fault).next(fault.next())
}

/// Opens what a box keeps for itself, for reading: its mode. Where all is in one place, that is the place.
pub(crate) fn open_box_to_read(data: &Path) -> Result<SqlStore> {
    let is_apart = Config::read(data)?.bus.is_some();
    Ok(if is_apart { SqlStore::open_to_read(&Places::of(data).box_records()) } else { open_to_read(data) }?)
}

/// Opens the records of an installation for reading, wherever they are.
pub(crate) fn open_to_read(data: &Path) -> std::result::Result<SqlStore, OpenFault> {
    // What is wrong with the settings, whoever needs them says.
    let server = |config: &Config| Workshop::server(config, config.name.as_str());
    match Config::read(data).ok().as_ref().map(server).transpose()?.flatten() {
        Some(server) => {
            // Whose key is gone is found elsewhere.
            let log_mark = Config::read(data).and_then(|config| log_mark(&Places::of(data), &config)).ok();
            SqlStore::open_server_to_read(&Server { log_mark, ..server })
        }
        None => SqlStore::open_to_read(data),
    }
}

pub(crate) fn module_authority() -> Result<AuthorityName> {
    MODULE_AUTHORITY.parse().map_err(|_| broken("the module authority has no name"))
}

fn authority_certificate(store: &SqlStore, authority: &AuthorityName) -> Result<Vec<u8>> {
    let rows = store.authorities()?;
    let row = rows.into_iter().find(|row| row.name == *authority && !row.certificate.is_empty());
    row.map(|row| row.certificate).ok_or_else(|| broken(format!("there is no authority {authority}")))
}

/// The module authority's certificate, and who is who by its word.
fn directory(store: &SqlStore, at: UnixTime) -> Result<Directory> {
    let authority = module_authority()?;
    let issuer = Certificate::decode(&authority_certificate(store, &authority)?).map_err(|e| broken(e.to_string()))?;
    let mut directory = Directory::default();
    for row in store.holders(&authority)? {
        let certificate = Certificate::decode(&row.der).map_err(|e| broken(e.to_string()))?;
        // One that has expired, or is the authority's own, speaks for nobody.
        let _not_a_speaker = directory.add(&certificate, &issuer, at);
    }
    Ok(directory)
}

fn broken(why: impl Into<String>) -> Failure {
    Failure::new(Exit::Failed, "corrupt", "a record of this installation does not make sense")
        .because(why.into())
        .next("run `cradle verify --deep`")
}

/// The public key that signs the audit log's checkpoints, without opening its private half.
pub(crate) fn audit_key(places: &Places) -> Result<PublicKey> {
    let path = places.data().join("audit.pub");
    let text = files::read_bounded(&path, 4096).map_err(|e| Failure::file(&path, &e))?;
    let der = x509::pem::der_or_pem(&text, &["PUBLIC KEY"]).ok_or_else(|| broken("audit.pub is no public key"))?;
    PublicKey::decode(&der).map_err(|e| broken(e.to_string()))
}

/// The key that signs the audit log's checkpoints, if it is the one whose public half lies beside it.
pub(crate) fn checked_audit_key(places: &Places, keystore: &FileKeystore) -> Result<Arc<dyn Signer>> {
    let key = keystore.open(&uri(AUDIT_KEY))?;
    if *key.public_key() == audit_key(places)? {
        return Ok(key);
    }
    Err(Failure::new(Exit::Failed, "key", "the audit log's key is not the one that audit.pub names")
        .because("keys/audit.p8 or audit.pub was replaced")
        .next("put both back from a backup: the log could not be verified otherwise"))
}

/// The profiles of an installation, all of them checked.
pub(crate) fn profiles(places: &Places) -> Result<BTreeMap<ProfileName, Arc<Profile>>> {
    let directory = places.profiles();
    let mut profiles = BTreeMap::new();
    for entry in std::fs::read_dir(&directory).map_err(|e| Failure::file(&directory, &e))? {
        let path = entry.map_err(|e| Failure::file(&directory, &e))?.path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let octets = files::read_bounded(&path, PROFILE_LEN_MAX).map_err(|e| Failure::file(&path, &e))?;
        let bad = |why: String| {
            Failure::new(Exit::Usage, "profile", format!("{} is no profile", path.display()))
                .because(why)
                .next("correct it, then run `cradle profile check`")
        };
        let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
        let name: ProfileName = stem.parse().map_err(|e: model::text::BadName| bad(e.to_string()))?;
        let text = String::from_utf8(octets).map_err(|_| bad("it is not UTF-8".into()))?;
        let profile = Profile::read(name.clone(), &text).map_err(|e| bad(e.to_string()))?;
        profiles.insert(name, Arc::new(profile));
    }
    Ok(profiles)
}

/// The profiles that devices may be certified under.
pub(crate) fn device_profiles(places: &Places) -> Result<BTreeSet<ProfileName>> {
    let profiles = profiles(places)?.into_iter();
    Ok(profiles.filter(|(_, p)| p.subject_kind() == SubjectKind::Device).map(|(name, _)| name).collect())
}

/// A module that is needed and off: says in which mode it would be awake.
pub(crate) fn module_off(module: Module, binding: Binding, doing: &str) -> Failure {
    let awake = match module {
        Module::Authority => "certificate-management",
        Module::Software => "software-import",
        Module::Provisioning | Module::Identity => "provision",
        Module::Gateway | Module::Console | Module::Supervisor => "certificate-management",
    };
    let between = binding.pending.map(|to| format!(", on its way to {to}")).unwrap_or_default();
    Failure::new(exit_of(Reason::ModuleOff), Reason::ModuleOff.code(), format!("{doing} was refused"))
        .because(format!("{module} is off in {}{between}", binding.current))
        .next(format!("`cradle mode set {awake}`, then repeat the command"))
}

/// The subject of a module's certificate on this box.
pub(crate) fn module_entity(module: Module, config: &Config) -> Entity {
    Entity::Module(module, config.name.clone())
}
