//! An installation that every world begins with, made by the modules themselves: authorities, modules, an operator, a
//! release.

use crate::dice::Seeded;
use crate::hub::{Hub, Logging, Node, locked};
use crate::keys::{Ring, key};
use crate::records::{Kind, Records, Scratch};
use crate::store::Seen;
use crate::upstream::Upstream;
use authority::{Authority, Setting};
use issue::Profile;
use model::audit::Event;
use model::callers::{CALLERS_TOML, Callers};
use model::contract::authority::{Answer, Certify, CertifyRequest, Evidence, GrantOffer};
use model::contract::hierarchy::CreateAuthority;
use model::contract::software::{Source, Update, Updated};
use model::mode::{Binding, Order, Statement};
use model::{Entity, Mode, Module, ProfileName, StationName, TransactionId};
use ports::clock::random;
use ports::directory::{Caller, Directory};
use ports::link::MODE_STATEMENT;
use ports::vault::{BlobName, Vault, VaultFault};
use ports::{Clock, Entropy, Signer, jws};
use provisioning::DeviceTypeFile;
use software::{Parts, Software};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io::{Cursor, Read};
use std::sync::{Arc, Mutex};
use update::bundle::Primary;
use x509::{Certificate, Name, csr};

/// What every certificate says of its owner.
pub const ORGANIZATION: &str = "World";
/// The name of the box.
pub const BOX: &str = "box";
/// Who orders.
pub const OPERATOR: &str = "alice";
/// The type of all boards.
pub const DEVICE_TYPE: &str = "sensor";
/// The authority that certifies devices.
pub const FACTORY: &str = "factory";

const PROFILES: [(&str, &str); 8] = [
    ("root", include_str!("../../../profiles/root.toml")),
    (FACTORY, include_str!("../../../profiles/factory.toml")),
    ("idevid", include_str!("../../../profiles/idevid.toml")),
    ("unit", include_str!("../profiles/unit.toml")),
    ("ocsp", include_str!("../../../profiles/ocsp.toml")),
    ("module-root", include_str!("../../../profiles/module-root.toml")),
    ("module", include_str!("../../../profiles/module.toml")),
    ("operator", include_str!("../../../profiles/operator.toml")),
];

const DEVICE_TYPE_FILE: &str = "description = \"a simulated board\"\nprofile = \"unit\"\nkey_type = \"ed25519\"\n\
    bundle_age_max_s = 3000000000\n[flasher]\nadapter = \"simulated\"\n";

/// The modules that have a key.
pub const MODULES: [Module; 6] =
    [Module::Provisioning, Module::Authority, Module::Software, Module::Identity, Module::Console, Module::Supervisor];

/// The world itself could not go on; the text says where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck(pub String);

/// Makes a fault of anything into one of the world.
pub(crate) trait OrStuck<T> {
    fn or_stuck(self, doing: &str) -> Result<T, Stuck>;
}
impl<T, E: Display> OrStuck<T> for Result<T, E> {
    fn or_stuck(self, doing: &str) -> Result<T, Stuck> {
        self.map_err(|e| Stuck(format!("{doing}: {e}")))
    }
}

/// A name that is known to be one.
pub(crate) fn name<T: std::str::FromStr<Err = model::text::BadName>>(text: &str) -> Result<T, Stuck> {
    text.parse().or_stuck(text)
}

/// An installation that worlds are copied from.
pub struct Template {
    pub(crate) scratch: Scratch,
    pub(crate) made: BTreeSet<String>,
    pub(crate) profiles: BTreeMap<ProfileName, Arc<Profile>>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) callers: Arc<Callers>,
    pub(crate) authorities: BTreeMap<String, (u64, Certificate)>,
    pub(crate) factory: Certificate,
    pub(crate) trust_anchors: String,
    pub(crate) device_type: DeviceTypeFile,
    pub(crate) vault: Arc<Shelf>,
    /// The box as who follows the maker's repository.
    pub(crate) primary: Primary,
    pub(crate) instance: StationName,
}

impl Template {
    /// Makes it.
    ///
    /// # Errors
    /// [`Stuck`]
    pub fn make(kind: &dyn Kind) -> Result<Self, Stuck> {
        let scratch = Scratch::new().or_stuck("a directory")?;
        let hub = Hub::new(0, None, Logging::Off);
        let entropy: Arc<dyn Entropy> = Arc::new(Seeded::new(0, "template"));
        let inner = kind.open(scratch.path(), &hub, Arc::clone(&entropy)).or_stuck("opening the store")?;
        let instance: StationName = name(BOX)?;
        let made = Arc::new(Mutex::new(BTreeSet::new()));
        let profiles = profiles()?;
        let node = Node::new("template");
        let store = Seen::new(Arc::clone(&hub), Arc::clone(&node), Arc::clone(&inner));
        let ring = Ring::new(Arc::clone(&hub), node, Arc::clone(&made), inner.clone());
        let km = Authority::start(Setting {
            store,
            keystore: Arc::new(ring),
            clock: hub.clone(),
            pause: hub.clone(),
            entropy: Arc::clone(&entropy),
            profiles: profiles.clone(),
            organization: ORGANIZATION.to_owned(),
            limits: authority::Limits::default(),
            est: authority::Est::default(),
        })
        .or_stuck("starting km")?;
        let maker = Maker { km, hub: Arc::clone(&hub), inner: Arc::clone(&inner), entropy, instance: instance.clone() };
        let directory = maker.hierarchy()?;
        let vault = Arc::new(Shelf::default());
        let primary = maker.release(&vault)?;
        maker.first_mode()?;
        let (authorities, trust_anchors) = authorities(inner.as_ref())?;
        let (_, factory) = authorities.get(FACTORY).cloned().ok_or_else(|| Stuck("there is no factory".into()))?;
        if let Some(violation) = hub.verdict() {
            return Err(Stuck(violation.to_string()));
        }
        drop((maker, inner));
        let made = locked(&made).clone();
        let callers = Callers::read(CALLERS_TOML).map_err(|_| Stuck("contracts/callers.toml".into()))?;
        Ok(Self {
            scratch,
            made,
            profiles,
            directory: Arc::new(directory),
            callers: Arc::new(callers),
            authorities,
            factory,
            trust_anchors,
            device_type: DeviceTypeFile::read(name(DEVICE_TYPE)?, DEVICE_TYPE_FILE).or_stuck("the device type")?,
            vault,
            primary,
            instance,
        })
    }
}

fn profiles() -> Result<BTreeMap<ProfileName, Arc<Profile>>, Stuck> {
    let read = |(file, text): (&str, &str)| {
        let named: ProfileName = name(file)?;
        Ok((named.clone(), Arc::new(Profile::read(named, text).or_stuck(file)?)))
    };
    PROFILES.into_iter().map(read).collect()
}

type Authorities = BTreeMap<String, (u64, Certificate)>;

/// All authorities, and those of devices as boards take them, root first.
fn authorities(store: &dyn Records) -> Result<(Authorities, String), Stuck> {
    let rows = store.authorities().or_stuck("reading the authorities")?;
    let mut found = BTreeMap::new();
    let mut anchors = String::new();
    for row in rows {
        let certificate = Certificate::decode(&row.certificate).or_stuck("an authority")?;
        if matches!(row.name.as_str(), "root" | FACTORY) {
            anchors.push_str(&x509::pem::encode("CERTIFICATE", certificate.der()));
        }
        found.insert(row.name.to_string(), (row.id, certificate));
    }
    Ok((found, anchors))
}

/// Makes an installation.
struct Maker {
    km: Authority,
    hub: Arc<Hub>,
    inner: Arc<dyn Records>,
    entropy: Arc<dyn Entropy>,
    instance: StationName,
}

impl Maker {
    fn caller(&self) -> Caller {
        Caller { module: Module::Console, instance: self.instance.clone() }
    }

    fn hierarchy(&self) -> Result<Directory, Stuck> {
        let modules = self.create("modules", "module-root", None)?;
        let mut directory = Directory::default();
        let module = |module: Module| (Entity::Module(module, self.instance.clone()), "module", module_label(module));
        let alice = (Entity::Operator(name(OPERATOR)?), "operator", operator_label());
        for (entity, profile, label) in MODULES.into_iter().map(module).chain([alice]) {
            let certificate = self.enrol(entity, profile, &label)?;
            let added = directory.add(&certificate, &modules, self.hub.now());
            added.map_err(|e| Stuck(format!("{label} is not taken into the directory: {e:?}")))?;
        }
        self.create("root", "root", None)?;
        self.create(FACTORY, FACTORY, Some("root"))?;
        Ok(directory)
    }

    fn create(&self, authority: &str, profile: &str, issuer: Option<&str>) -> Result<Certificate, Stuck> {
        let call = CreateAuthority {
            name: name(authority)?,
            profile: name(profile)?,
            issuer: issuer.map(name).transpose()?,
            key_type: "ed25519".to_owned(),
            key: None,
        };
        let created = self.km.create(&self.caller(), &call).or_stuck(authority)?;
        Certificate::decode(created.certificate.as_ref()).or_stuck(authority)
    }

    fn enrol(&self, subject: Entity, profile: &str, label: &str) -> Result<Certificate, Stuck> {
        let (signer, now) = (key(label).or_stuck(label)?, self.hub.now());
        let offer = GrantOffer { subject, profile: name(profile)?, until: now.plus_s(3600), quota: 1 };
        self.inner.deposit("init", std::slice::from_ref(&offer), now).or_stuck(label)?;
        let request = CertifyRequest {
            transaction_id: TransactionId::at(now, random(self.entropy.as_ref())),
            subject: offer.subject,
            profile: offer.profile,
            evidence: request_of(signer.as_ref()).or_stuck(label)?,
        };
        let certified = self.km.ra().admit(&self.caller(), &Certify { requests: vec![request] }).or_stuck(label)?;
        match certified.answers.into_iter().next() {
            Some(Answer::Issued { certificate, .. }) => Certificate::decode(certificate.as_ref()).or_stuck(label),
            other => Err(Stuck(format!("{label} is not certified: {other:?}"))),
        }
    }

    /// Has sm follow the maker's repository, in which there is a release.
    fn release(&self, vault: &Arc<Shelf>) -> Result<Primary, Stuck> {
        let upstream = Upstream::publish(&name(DEVICE_TYPE)?, self.hub.now().plus_s(86_400))?;
        let primary = Primary {
            device: name("urn:dev:ops:32473-box-world")?,
            device_types: vec![name(DEVICE_TYPE)?],
            images_root: upstream.first_root(),
            director_root: None,
        };
        let sm = Software::new(Parts {
            store: self.inner.clone(),
            vault: vault.clone(),
            sources: Arc::new(upstream),
            primary: Some(primary.clone()),
            signer: key(&module_label(Module::Software)).or_stuck("sm's key")?,
            clock: self.hub.clone(),
        });
        let call = Update { source: Source::Directory("repository".to_owned()) };
        match sm.update(&call).or_stuck("following the repository")? {
            Updated::Kept { releases, .. } if releases.len() == 1 => Ok(primary),
            other => Err(Stuck(format!("the repository does not say what it should: {other:?}"))),
        }
    }

    fn first_mode(&self) -> Result<(), Stuck> {
        let now = self.hub.now();
        let statement = sign_order(Order::Provision, 1, now)?;
        self.inner
            .order(Order::Provision, &statement, ordered(Order::Provision, 1), now)
            .or_stuck("the first order")?;
        self.inner.bind(Binding::settled(Mode::ProvisionSoftware), now).or_stuck("the first mode").map(|_| ())
    }
}

/// What the log says of an order.
pub(crate) fn ordered(order: Order, epoch: u64) -> Event {
    Event::ModeOrdered { order, epoch, operator: OPERATOR.to_owned(), reason: "simulated".to_owned() }
}

/// An operator signs an order.
pub(crate) fn sign_order(order: Order, epoch: u64, at: model::UnixTime) -> Result<String, Stuck> {
    let statement = Statement { order, epoch, at, operator: name(OPERATOR)?, reason: "simulated".to_owned() };
    let payload = serde_json::to_vec(&statement).or_stuck("writing the order")?;
    let signer = key(&operator_label()).or_stuck("the operator's key")?;
    let jws = jws::sign(MODE_STATEMENT, &payload, signer.as_ref()).or_stuck("signing the order")?;
    String::from_utf8(jws).or_stuck("writing the order")
}

/// The label of a module's key.
pub(crate) fn module_label(module: Module) -> String {
    format!("module.{module}")
}
fn operator_label() -> String {
    format!("operator.{OPERATOR}")
}

/// A request that is signed by its key, and asks for nothing but a certificate.
pub(crate) fn request_of(signer: &dyn Signer) -> Result<Evidence, ports::SignFault> {
    let info = csr::write_info(&Name::write(&[]), signer.public_key(), &[]);
    let signature = signer.sign(&info)?;
    Ok(Evidence::Pkcs10(csr::write_signed(&info, signer.algorithm(), &signature).into()))
}

/// A vault in memory. What is inside is nobody's secret.
#[derive(Debug, Default)]
pub struct Shelf(Mutex<BTreeMap<String, Vec<u8>>>);

impl Vault for Shelf {
    fn put(&self, source: &mut dyn Read, len_max: u64) -> Result<BlobName, VaultFault> {
        let mut octets = Vec::new();
        source.take(len_max.saturating_add(1)).read_to_end(&mut octets).map_err(|_| VaultFault::Source)?;
        if u64::try_from(octets.len()).unwrap_or(u64::MAX) > len_max {
            return Err(VaultFault::TooLong);
        }
        let name = x509::sha256(&octets).to_string().chars().take(32).collect::<String>();
        locked(&self.0).insert(name.clone(), octets);
        Ok(BlobName(name))
    }
    fn open(&self, name: &BlobName) -> Result<Box<dyn Read + Send>, VaultFault> {
        let octets = locked(&self.0).get(&name.0).cloned().ok_or(VaultFault::Missing)?;
        Ok(Box::new(Cursor::new(octets)))
    }
    fn remove(&self, name: &BlobName) -> Result<(), VaultFault> {
        locked(&self.0).remove(&name.0).map(|_| ()).ok_or(VaultFault::Missing)
    }
    fn list(&self) -> Result<Vec<BlobName>, VaultFault> {
        Ok(locked(&self.0).keys().cloned().map(BlobName).collect())
    }
}
